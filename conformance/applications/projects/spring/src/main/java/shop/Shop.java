package shop;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Shop {
  record Order(String item, int quantity) {}

  public static void main(String[] arguments) {
    SpringApplication.run(Shop.class, arguments);
  }

  @PostMapping("/orders")
  Map<String, Object> order(@RequestBody Order order) {
    return Map.of("item", order.item(), "total", order.quantity() * 3);
  }

  /** What the JVM was given, and who answers. */
  @GetMapping("/jvm")
  Map<String, Object> jvm() {
    return Map.of("heap_mb", Runtime.getRuntime().maxMemory() >> 20, "pid", ProcessHandle.current().pid());
  }

  /** Fills the heap: an error that Java tells, and no end of the server. */
  @GetMapping("/fill")
  Map<String, Object> fill() {
    List<byte[]> kept = new ArrayList<>();
    try {
      while (true) {
        kept.add(new byte[1 << 20]);
      }
    } catch (OutOfMemoryError full) {
      int filled = kept.size();
      kept.clear();
      return Map.of("filled_mb", filled);
    }
  }
}
