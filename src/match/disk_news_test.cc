#include "match/disk_news.h"

#include <gtest/gtest.h>

#include "match/findings.h"

namespace prunella {
namespace {

constexpr std::uint64_t kTerabyte = 1'000'000'000'000;

DiskFacts disk(std::uint64_t free_bytes, std::uint64_t free_inodes = 1'000'000) {
  return {{{"/", kTerabyte, free_bytes, free_inodes, false}}};
}

TEST(DiskNews, SpaceThatTremblesIsNone) {
  EXPECT_FALSE(is_news(disk(kTerabyte / 2), disk(kTerabyte / 2)));
  EXPECT_FALSE(is_news(disk(kTerabyte / 2), disk(kTerabyte / 2 + kTerabyte / 100)));
  EXPECT_TRUE(is_news(disk(kTerabyte / 2), disk(kTerabyte / 2 + kTerabyte / 100 + 1)));
  EXPECT_TRUE(is_news(disk(kTerabyte / 2), disk(kTerabyte / 2 - kTerabyte / 100 - 1)));
}

TEST(DiskNews, FullOrNotIsAlwaysNewsHoweverLargeTheDisk) {
  EXPECT_TRUE(is_news(disk(kFreeBytesMin), disk(kFreeBytesMin - 1)));
  EXPECT_TRUE(is_news(disk(kFreeBytesMin - 1), disk(kFreeBytesMin)));
  EXPECT_TRUE(is_news(disk(kTerabyte / 2, kFreeInodesMin), disk(kTerabyte / 2, kFreeInodesMin - 1)));
}

TEST(DiskNews, AnotherFilesystemOrStateIs) {
  DiskFacts told = disk(kTerabyte / 2);
  EXPECT_TRUE(is_news(told, DiskFacts{}));
  DiskFacts now = told;
  now.filesystems[0].read_only = true;
  EXPECT_TRUE(is_news(told, now));
  now = told;
  now.filesystems[0].mount = "/var";
  EXPECT_TRUE(is_news(told, now));
  now = told;
  now.filesystems[0].size_bytes += 1;
  EXPECT_TRUE(is_news(told, now));
}

}  // namespace
}  // namespace prunella
