"""What tests steer the emulator by: admin routes, fault rules, the request log."""
