"use strict";

// Greets whoever the event names, and says where it ran.
exports.handler = async (event, context) => {
  const name = event.name ?? "world";
  console.log(`greeting ${name}`);
  return {
    message: `${process.env.GREETING ?? "Hello"}, ${name}!`,
    function: context.functionName,
    version: context.functionVersion,
    remaining_ms: context.getRemainingTimeInMillis(),
  };
};
