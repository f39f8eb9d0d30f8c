package echo;

import java.util.Map;

/** Returns its environment. */
public class Handler {
    public Map<String, String> handleRequest(Object event) {
        return System.getenv();
    }
}
