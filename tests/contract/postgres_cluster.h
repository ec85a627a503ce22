#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <thread>

namespace prunella::contract {

/// A PostgreSQL 15 server of our own for the time of this program: on a UNIX socket in a temporary folder, with fsync on as in
/// production, as an unprivileged user when we are root. It ends with the program, however that ends. Also for bench/.
class PostgresCluster {
 public:
  static bool installed();
  /// Started by the first call; from the main thread, as the server ends with the thread that started it.
  static PostgresCluster& get();

  std::string conninfo(const std::string& database) const;
  /// A connection text for a schema of its own, empty as a new database is (which takes a second to make, a schema nothing).
  std::string empty_space();

  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

 private:
  PostgresCluster();
  ~PostgresCluster();

  std::filesystem::path folder_;
  pid_t server_ = -1;
  int log_ = -1;
  int next_ = 0;
  std::thread drain_;
};

}  // namespace prunella::contract
