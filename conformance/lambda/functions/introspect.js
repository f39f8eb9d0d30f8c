// Echoes its event, or tells its context and environment.
exports.handler = async (event, context) => {
  if (event === null || typeof event !== "object" || event.operation !== "introspect") return event;
  return {
    ctx: {
      aws_request_id: context.awsRequestId,
      function_name: context.functionName,
      function_version: context.functionVersion,
      invoked_function_arn: context.invokedFunctionArn,
      log_group_name: context.logGroupName,
      log_stream_name: context.logStreamName,
      remaining_time_in_millis: context.getRemainingTimeInMillis(),
    },
    environment: { ...process.env },
    packages: [],
  };
};
