"""Readings from a broker to a durable store, each exactly once.

    wire      topics, payloads, receipts: bytes             judge     which readings of a payload are sound
    store     what was accepted and what was refused        client    MQTT that acknowledges when told to
    service   `trellis oracle run`                          outbox    a meter's side: kept until receipted
    broker    a Mosquitto's configuration                   tls       its certificates

    meter ── PUBLISH ─▶ broker ── PUBLISH ─▶ service: judge, store (one transaction a batch, on disk)
                               ◀─ PUBACK ──  only then
          ◀───────────────────── receipt ──  and only then

A PUBACK says that the next hop has the message: the broker's to the meter can be lost with the broker's
memory. A receipt says that this oracle has the readings on disk. So a meter keeps a payload until it is
receipted, sends it again until then, and since a reading is stored once however often it comes, each ends in
the store exactly once whatever is killed on the way.

`wire` and `judge` are pure. The clock is read in `service` alone.
"""
