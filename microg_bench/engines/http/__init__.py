"""What engines that ask servers share: retries, concurrency, secrets, media."""
