#include "postgres_cluster.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "adapters/postgres/postgres.h"

namespace prunella::contract {

namespace {

const std::string kBin = "/usr/lib/postgresql/15/bin/";

// PostgreSQL refuses to run as root; then it runs as one of these.
const passwd* unprivileged_user() {
  for (const char* name : {"postgres", "nobody"})
    if (const passwd* user = ::getpwnam(name)) return user;
  return nullptr;
}

// Starts a program as the unprivileged user (when we are root) with its output and errors in `output`. It gets SIGQUIT, which is
// an immediate shutdown to PostgreSQL, when the thread that started it ends, however that ends.
pid_t start(const std::vector<std::string>& command, int output, const passwd* user) {
  pid_t parent = ::getpid();
  pid_t child = ::fork();
  if (child != 0) return child;
  if (::geteuid() == 0 && user && (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0))
    ::_exit(126);
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after setuid, which clears it: prctl(2)
  if (::getppid() != parent) ::_exit(126);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::setenv("LC_ALL", "C", 1);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  if (::chdir("/") == 0) ::execv(argv[0], argv.data());
  ::_exit(127);
}

// Reads up to the end, or to `word`.
std::string read_until(int from, std::string_view word) {
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(from, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
    if (!word.empty() && text.find(word) != std::string::npos) break;
  }
  return text;
}

}  // namespace

bool PostgresCluster::installed() { return std::filesystem::exists(kBin + "initdb"); }

PostgresCluster& PostgresCluster::get() {
  static PostgresCluster cluster;
  return cluster;
}

std::string PostgresCluster::conninfo(const std::string& database) const {
  return "host=" + folder_.string() + " user=prunella dbname=" + database;
}

std::string PostgresCluster::empty_space() {
  std::string name = "t" + std::to_string(next_++);
  auto admin = PostgresConnection::open(conninfo("postgres"));
  if (!admin) std::fprintf(stderr, "%s\n", admin.error().text().c_str());
  check(admin.has_value(), "connecting to our own server");
  std::string sql = "CREATE SCHEMA " + name;
  check((*admin)->run({"test.create_schema", sql.c_str()}).has_value(), "creating a schema on our own server");
  return conninfo("postgres") + " options=-csearch_path=" + name;
}

PostgresCluster::PostgresCluster() {
  std::string pattern = (std::filesystem::temp_directory_path() / "prunella-postgres-XXXXXX").string();
  check(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  folder_ = pattern;
  const passwd* user = unprivileged_user();
  std::filesystem::path data = folder_ / "data";
  if (::geteuid() == 0) check(user && ::chown(folder_.c_str(), user->pw_uid, user->pw_gid) == 0, "chown");
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC) == 0, "pipe2");
  pid_t initdb = start({kBin + "initdb", "-D", data.string(), "-U", "prunella", "-E", "UTF8", "--locale=C", "-A", "trust", "-N"},
                       ends[1], user);
  ::close(ends[1]);
  std::string said = read_until(ends[0], "");
  ::close(ends[0]);
  int status = 0;
  ::waitpid(initdb, &status, 0);
  if (status != 0) std::fprintf(stderr, "initdb failed: %s\n", said.c_str());
  check(status == 0, "initdb");

  check(::pipe2(ends, O_CLOEXEC) == 0, "pipe2");
  server_ = start({kBin + "postgres", "-D", data.string(), "-k", folder_.string(), "-c", "listen_addresses=", "-c",
                   "unix_socket_permissions=0777", "-c", "shared_buffers=16MB", "-c", "max_connections=20"},
                  ends[1], user);
  ::close(ends[1]);
  log_ = ends[0];
  said = read_until(log_, "ready to accept connections");
  if (said.find("ready to accept connections") == std::string::npos) std::fprintf(stderr, "postgres failed: %s\n", said.c_str());
  drain_ = std::thread([this] { read_until(log_, ""); });  // so that the server never waits for us to read its log
}

PostgresCluster::~PostgresCluster() {
  ::kill(server_, SIGQUIT);
  ::waitpid(server_, nullptr, 0);
  drain_.join();
  ::close(log_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace prunella::contract
