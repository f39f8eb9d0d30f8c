package hello;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

/** Greets who calls. */
public class Hello implements RequestHandler<Hello.Request, Hello.Response> {
  /** The event: {"name": "Ann"}. */
  public static class Request {
    private String name;

    public String getName() {
      return name;
    }

    public void setName(String name) {
      this.name = name;
    }
  }

  /** The answer; public fields and getters become its members. */
  public static class Response {
    public final String message;
    public final String version;
    public final int remainingMs;

    Response(String message, Context context) {
      this.message = message;
      version = context.getFunctionVersion();
      remainingMs = context.getRemainingTimeInMillis();
    }
  }

  // Outside of the handler: once per instance.
  private final String greeting = System.getenv().getOrDefault("GREETING", "Hello");

  @Override
  public Response handleRequest(Request request, Context context) {
    String name = request.getName() == null ? "world" : request.getName();
    context.getLogger().log("greeting " + name);
    return new Response(greeting + ", " + name + "!", context);
  }
}
