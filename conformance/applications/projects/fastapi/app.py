"""A FastAPI application on uvicorn: checked bodies, streaming, a WebSocket, many requests at once."""

import asyncio
import os

import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI(root_path=os.environ.get("ROOT_PATH", ""))
running = most = 0


class Order(BaseModel):
    item: str
    quantity: int = Field(gt=0)


@app.post("/orders", status_code=201)
async def order(order: Order):
    return {"item": order.item, "total": order.quantity * 3}


@app.get("/wait")
async def wait(ms: int):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(ms / 1000)
    running -= 1
    return {"most": most, "pid": os.getpid()}


@app.get("/ticks")
async def ticks():
    async def lines():
        for n in range(4):
            yield f"{n}\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(lines(), media_type="text/plain")


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    while True:
        await socket.send_text("heard " + await socket.receive_text())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
