#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

/// Compares with tests/golden/cli_NAME.txt. PRUNELLA_GOLDEN=write writes the file anew, to be looked at in the diff.
inline void expect_golden(const std::string& name, const std::string& text) {
  std::string path = std::string(PRUNELLA_SOURCE_DIR) + "/tests/golden/cli_" + name + ".txt";
  const char* mode = std::getenv("PRUNELLA_GOLDEN");
  if (mode && std::string(mode) == "write") {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  std::stringstream wanted;
  wanted << file.rdbuf();
  EXPECT_TRUE(file.is_open()) << path << " is missing; PRUNELLA_GOLDEN=write makes it";
  EXPECT_EQ(text, wanted.str()) << path << "; PRUNELLA_GOLDEN=write takes the new text, if it's right";
}
