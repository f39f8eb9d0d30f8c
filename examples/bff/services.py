"""Four services of a bank with made-up customers, each on a port of its own: account, card, fund, points.

`python3 services.py` listens on 7401 to 7404. The points service is slow; the fund service fails for one customer in twenty.
The same customer has the same data at every start.
"""

import http.server
import json
import random
import threading
import time

SERVICES = ["account", "card", "fund", "points"]
DELAYS = {"account": 0.06, "card": 0.06, "fund": 0.06, "points": 0.12}
FAILING = 20


def data(service, customer):
    """What a service knows of a customer; nothing where it fails."""
    chance = random.Random(f"{service} {customer}")
    if service == "account":
        return {"balance": f"{chance.randrange(10**7) / 100:.2f}", "currency": "CNY"}
    if service == "card":
        numbers = [f"62{chance.randrange(10**14):014}" for _ in range(chance.randint(1, 3))]
        return {"cards": [{"number": number, "kind": chance.choice(["debit", "credit"]), "pin_tries": 3} for number in numbers]}
    if service == "fund":
        if chance.randrange(FAILING) == 0:
            return None
        return {"holdings": [{"code": f"{chance.randrange(10**6):06}", "units": chance.randrange(10**5)} for _ in range(4)]}
    return {"points": chance.randrange(50_000), "level": chance.choice(["金卡", "银卡", "普通"])}


class Service(http.server.ThreadingHTTPServer):
    """One service; it notes what it was asked, with which headers and when."""

    request_queue_size = 64
    daemon_threads = True

    def __init__(self, name, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.name = name
        self.delay = DELAYS[name]
        self.asked = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        begun = time.monotonic()
        time.sleep(self.server.delay)
        answer = data(self.server.name, self.path.rpartition("/")[2])
        body = json.dumps(answer or {"error": "out of order"}).encode()
        self.server.asked.append((self.path, dict(self.headers), begun, time.monotonic()))
        try:
            self.send_response(200 if answer else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            # Who asked has waited long enough.
            pass

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    for place, each in enumerate(SERVICES):
        print(each, Service(each, 7401 + place).url, flush=True)
    threading.Event().wait()
