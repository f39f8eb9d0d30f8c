import { Catch, MidwayError } from '@midwayjs/core';
import { Context } from '@midwayjs/koa';

export class Refused extends MidwayError {}

@Catch(Refused)
export class Refusals {
  async catch(error: Refused, context: Context) {
    context.status = 422;
    return { refused: error.message };
  }
}
