import { Body, Controller, Get, Inject, Param, Post } from '@midwayjs/core';
import { Context } from '@midwayjs/koa';
import { AccountsService } from './accounts.service';

@Controller('/customers')
export class AccountsController {
  @Inject()
  accounts!: AccountsService;

  @Inject()
  ctx!: Context;

  @Get('/:customer')
  async overview(@Param('customer') customer: string) {
    this.ctx.logger.info('overview of %s', customer);
    return { ...(await this.accounts.overview(customer)), trace: this.ctx.get('x-amzn-requestid'), pid: process.pid };
  }

  @Post('/:customer/transfers')
  async transfer(@Body() body: { from: string; to: string; cents: number }) {
    const left = await this.accounts.transfer(body.from, body.to, body.cents);
    this.ctx.status = 201;
    return { left };
  }
}
