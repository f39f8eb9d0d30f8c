// A handler with the dependencies that many have: checks its event, groups it, tells the end of the month.
const _ = require('lodash');
const moment = require('moment');
const { z } = require('zod');
// Not called, only loaded: what a handler's start costs with it.
require('express');

const Event = z.object({
  date: z.string().regex(/^\d{4}-\d{2}-\d{2}$/),
  orders: z.array(z.object({ client: z.string(), amount: z.number().positive() })),
});

exports.handler = async (event) => {
  const { date, orders } = Event.parse(event);
  return {
    due: moment.utc(date).endOf('month').format('YYYY-MM-DD'),
    totals: _.mapValues(_.groupBy(orders, 'client'), (each) => _.sumBy(each, 'amount')),
  };
};
