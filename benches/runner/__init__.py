"""The parts of `benches/run`: what runs the benchmarks, judges two builds, and writes the reports."""
