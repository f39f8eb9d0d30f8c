// A Midway 3 application as its guide has it; the port and the place of the log are the platform's.
import { App, Configuration } from '@midwayjs/core';
import * as koa from '@midwayjs/koa';
import { Refusals } from './filter';

const settings = {
  keys: 'signs the cookies of this example',
  koa: { port: Number(process.env.PORT) },
  // The code's folder cannot be written: what is logged goes to the function's log.
  midwayLogger: { default: { transports: { file: false, error: false, console: { autoColors: false } } } },
};

@Configuration({ imports: [koa], importConfigs: [{ default: settings }] })
export class MainConfiguration {
  @App('koa')
  app!: koa.Application;

  async onReady() {
    this.app.useFilter([Refusals]);
  }
}
