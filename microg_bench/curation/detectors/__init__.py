"""What finds persons in frames, and follows them."""
