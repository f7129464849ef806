"""What runs the parts together: agents that trade for homes, the demo of a community's day."""
