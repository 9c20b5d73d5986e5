"""Order and wake-ups between threads."""

import asyncio
import threading

from loadsheet.runtime.update import Started
from loadsheet.server.bridge import Bridge


async def test_updates_of_several_threads_keep_their_order():
    seen: dict[str, list[float]] = {"a": [], "b": []}
    is_complete = asyncio.Event()
    bridge = Bridge(asyncio.get_running_loop())

    def deliver_to(name):
        def deliver(update):
            seen[name].append(update.at_s)
            if sum(map(len, seen.values())) == 200:
                is_complete.set()

        return deliver

    def post(name):
        for index in range(100):
            bridge.post(deliver_to(name), Started(at_s=float(index)))

    threads = [threading.Thread(target=post, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    await asyncio.wait_for(is_complete.wait(), 20)
    for thread in threads:
        thread.join()
    assert seen == {"a": [float(i) for i in range(100)], "b": [float(i) for i in range(100)]}


async def test_a_burst_wakes_the_event_loop_once():
    event_loop = asyncio.get_running_loop()
    wakes = []

    class Counting:
        def call_soon_threadsafe(self, callback):
            wakes.append(callback)
            event_loop.call_soon(callback)

    seen = []
    bridge = Bridge(Counting())
    for index in range(50):
        bridge.post(seen.append, Started(at_s=float(index)))
    await asyncio.sleep(0)
    assert len(seen) == 50
    assert len(wakes) == 1
    bridge.post(seen.append, Started(at_s=50.0))
    await asyncio.sleep(0)
    assert (len(seen), len(wakes)) == (51, 2)


def test_posting_after_the_end_is_harmless():
    event_loop = asyncio.new_event_loop()
    bridge = Bridge(event_loop)
    event_loop.close()
    seen = []
    bridge.post(seen.append, Started(at_s=0.0))
    bridge.post(seen.append, Started(at_s=1.0))
    assert seen == []
