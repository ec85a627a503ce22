// The fuzz targets with this build's compiler, on their seeds: what the fuzzer once found, or was told, stays true. Damaged seeds are
// a short, always equal piece of fuzzing. A property that doesn't hold ends the program (check()), which CTest shows as this case.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz_table.h"

namespace prunella::fuzz {
namespace {

std::vector<std::string> seeds_of(const std::string& name) {
  std::vector<std::filesystem::path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(PRUNELLA_SOURCE_DIR) / "tests/fuzz/corpus" / name, missing))
    files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<std::string> seeds;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return seeds;
}

class FuzzCorpus : public testing::TestWithParam<Target> {
 protected:
  void give(const std::string& input) {
    // A copy of exactly this size on the heap, so that a sanitizer sees a read beyond it.
    std::vector<std::uint8_t> bytes(input.begin(), input.end());
    EXPECT_EQ(GetParam().run(bytes.data(), bytes.size()), 0);
  }
};

TEST_P(FuzzCorpus, HoldsOnEverySeed) {
  auto seeds = seeds_of(GetParam().name);
  ASSERT_FALSE(seeds.empty()) << "tests/fuzz/corpus/" << GetParam().name << " has no seed";
  give("");
  for (const std::string& seed : seeds) give(seed);
}

TEST_P(FuzzCorpus, HoldsOnSeedsThatAreCutOrDamaged) {
  constexpr std::size_t kPlaces = 24;  // in each seed: some milliseconds each for the slowest target
  for (const std::string& seed : seeds_of(GetParam().name)) {
    std::size_t step = std::max<std::size_t>(1, seed.size() / kPlaces);
    for (std::size_t at = 0; at < seed.size(); at += step) {
      give(seed.substr(0, at));
      std::string damaged = seed;
      damaged[at] = static_cast<char>(damaged[at] ^ (at % 2 == 0 ? 0x80 : 0x01));
      give(damaged);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpus, testing::ValuesIn(targets()), [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace prunella::fuzz
