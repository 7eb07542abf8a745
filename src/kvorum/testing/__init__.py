"""What tests of kvorum, and of programs that use it, stand on: real server processes, twins, a clock by hand."""
