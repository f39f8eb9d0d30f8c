package echo;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Echoes its event, or tells its context and environment. */
public class Handler implements RequestHandler<Object, Object> {
    @Override
    public Object handleRequest(Object event, Context context) {
        if (!(event instanceof Map) || !"introspect".equals(((Map<?, ?>) event).get("operation"))) {
            return event;
        }
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("aws_request_id", context.getAwsRequestId());
        told.put("function_name", context.getFunctionName());
        told.put("function_version", context.getFunctionVersion());
        told.put("invoked_function_arn", context.getInvokedFunctionArn());
        told.put("log_group_name", context.getLogGroupName());
        told.put("log_stream_name", context.getLogStreamName());
        told.put("memory_limit_in_mb", String.valueOf(context.getMemoryLimitInMB()));
        told.put("remaining_time_in_millis", context.getRemainingTimeInMillis());
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("ctx", told);
        answer.put("environment", System.getenv());
        answer.put("packages", Collections.emptyList());
        return answer;
    }
}
