import { Provide, Scope, ScopeEnum } from '@midwayjs/core';
import { Refused } from './filter';

// What a domain service would answer, made up; amounts in cents.
@Provide()
@Scope(ScopeEnum.Singleton)
export class AccountsService {
  private balances = new Map([
    ['6222-01', 120_000],
    ['6222-02', 50],
  ]);

  async overview(customer: string) {
    const accounts = [...this.balances].map(([number, cents]) => ({ number: `****-${number.slice(-2)}`, cents }));
    return { customer, accounts, total: accounts.reduce((sum, account) => sum + account.cents, 0) };
  }

  async transfer(from: string, to: string, cents: number) {
    const has = this.balances.get(from);
    if (has === undefined || !this.balances.has(to)) throw new Refused('no such account');
    if (!Number.isInteger(cents) || cents <= 0 || cents > has) throw new Refused('not enough');
    this.balances.set(from, has - cents);
    this.balances.set(to, this.balances.get(to)! + cents);
    return this.balances.get(from);
  }
}
