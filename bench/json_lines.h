#pragma once

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <vector>

namespace prunella::bench {

/// One line of JSON a figure: {"figure": "cel evaluations", "cpu_ns": 250.1, "per_second": 3998400}.
class JsonLines : public benchmark::BenchmarkReporter {
 public:
  explicit JsonLines(std::string room) : room_(std::move(room)) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) {
        std::printf("{\"figure\": \"%s %s\", \"error\": \"%s\"}\n", room_.c_str(), run.benchmark_name().c_str(), run.error_message.c_str());
        continue;
      }
      const double nanos = run.cpu_accumulated_time / static_cast<double>(run.iterations) * 1e9;
      std::printf("{\"figure\": \"%s %s\", \"cpu_ns\": %.1f, \"per_second\": %.0f}\n", room_.c_str(), run.benchmark_name().c_str(), nanos, 1e9 / nanos);
    }
  }

 private:
  std::string room_;
};

}  // namespace prunella::bench
