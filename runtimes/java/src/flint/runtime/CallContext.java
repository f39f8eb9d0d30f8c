package flint.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a handler is told about the call and itself. */
final class CallContext implements Context {
  private final Map<String, Object> function;
  private final Map<String, Object> header;
  private final Log log;
  private final long ends;
  private final ClientContext client;
  private final CognitoIdentity identity;

  /** `began` is System.nanoTime() when the call arrived. */
  CallContext(Map<String, Object> function, Map<String, Object> header, Log log, long began) throws Fault {
    this.function = function;
    this.header = header;
    this.log = log;
    Object left = header.get("remaining_ms");
    ends = began + (left instanceof Number ? ((Number) left).longValue() : 0) * 1000000L;
    Map<String, Object> sent = parsed("client_context", "client context");
    client = sent == null ? null : new Mobile(sent);
    Map<String, Object> who = parsed("identity", "Cognito identity");
    identity = new Identity(who == null ? new LinkedHashMap<String, Object>() : who);
  }

  private Map<String, Object> parsed(String member, String name) throws Fault {
    String text = text(header, member);
    if (text == null || text.isEmpty()) {
      return null;
    }
    try {
      return Json.object(text);
    } catch (IllegalArgumentException wrong) {
      throw new Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse " + name + " as JSON", wrong);
    }
  }

  private static String text(Map<String, Object> from, String member) {
    Object value = from.get(member);
    return value == null ? null : value.toString();
  }

  @Override
  public String getAwsRequestId() {
    return text(header, "request_id");
  }

  @Override
  public String getLogGroupName() {
    return text(function, "log_group");
  }

  @Override
  public String getLogStreamName() {
    return text(function, "log_stream");
  }

  @Override
  public String getFunctionName() {
    return text(function, "function_name");
  }

  @Override
  public String getFunctionVersion() {
    return text(function, "function_version");
  }

  @Override
  public String getInvokedFunctionArn() {
    String arn = text(header, "arn");
    return arn == null ? text(function, "function_arn") : arn;
  }

  @Override
  public CognitoIdentity getIdentity() {
    return identity;
  }

  @Override
  public ClientContext getClientContext() {
    return client;
  }

  /** Milliseconds left, never negative; counted by the instance's own clock from the arrival of the call. */
  @Override
  public int getRemainingTimeInMillis() {
    return (int) Math.max(0, (ends - System.nanoTime()) / 1000000L);
  }

  @Override
  public int getMemoryLimitInMB() {
    Object memory = function.get("memory_mb");
    return memory instanceof Number ? ((Number) memory).intValue() : 0;
  }

  @Override
  public LambdaLogger getLogger() {
    return log;
  }

  @Override
  public String getTenantId() {
    return text(header, "tenant_id");
  }

  @Override
  public String getXrayTraceId() {
    return text(header, "trace_id");
  }

  /** Who called through Cognito; both are null when nobody did. */
  private static final class Identity implements CognitoIdentity {
    private final Map<String, Object> given;

    Identity(Map<String, Object> given) {
      this.given = given;
    }

    @Override
    public String getIdentityId() {
      return text(given, "cognitoIdentityId");
    }

    @Override
    public String getIdentityPoolId() {
      return text(given, "cognitoIdentityPoolId");
    }
  }

  /** The client context, as the mobile SDKs send it. */
  private static final class Mobile implements ClientContext, Client {
    private final Map<String, Object> given;
    private final Map<String, Object> client;

    Mobile(Map<String, Object> given) {
      this.given = given;
      client = member("client");
    }

    @SuppressWarnings("unchecked") // Json makes no other maps
    private Map<String, Object> member(String name) {
      Object value = given.get(name);
      return value instanceof Map ? (Map<String, Object>) value : null;
    }

    private Map<String, String> texts(String name) {
      Map<String, Object> found = member(name);
      if (found == null) {
        return null;
      }
      Map<String, String> texts = new LinkedHashMap<String, String>();
      for (String key : found.keySet()) {
        texts.put(key, text(found, key));
      }
      return texts;
    }

    @Override
    public Client getClient() {
      return client == null ? null : this;
    }

    @Override
    public Map<String, String> getCustom() {
      return texts("custom");
    }

    @Override
    public Map<String, String> getEnvironment() {
      return texts("env");
    }

    @Override
    public String getInstallationId() {
      return text(client, "installation_id");
    }

    @Override
    public String getAppTitle() {
      return text(client, "app_title");
    }

    @Override
    public String getAppVersionName() {
      return text(client, "app_version_name");
    }

    @Override
    public String getAppVersionCode() {
      return text(client, "app_version_code");
    }

    @Override
    public String getAppPackageName() {
      return text(client, "app_package_name");
    }
  }
}
