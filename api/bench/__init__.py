"""`trellis bench api`: orders through a real server, from a client on the same machine."""
