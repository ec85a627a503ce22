#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "adapters/http/ca.h"
#include "adapters/http/server.h"
#include "apps/control/core_thread.h"
#include "apps/control/routes.h"
#include "base/time.h"
#include "loop/control_plane.h"

namespace prunella::control {

/// Turns HTTP into calls of the control plane, on its own thread, and holds what waits: the agents' long polls and the streams of
/// changes.
class Service {
 public:
  struct Options {
    Advertised server;
    std::string version;
    std::string packages;  ///< folder with prunella-agent_*.deb; "" for none
  };
  /// 60 s: below the idle time-outs of common proxies.
  static constexpr std::chrono::milliseconds kPollWaitMax{60'000};
  /// 100,000 agents on one control plane (DESIGN.md section 8), each with one poll.
  static constexpr std::size_t kPollsMax = 100'000;
  static constexpr std::size_t kStreamsMax = 200;

  Service(ControlPlane& plane, Clock& clock, Options options);
  ~Service();

  void handle(HttpRequest request, const Peer& peer, Responder responder);
  void tls_failed(const TlsFailure& failure);
  /// For /metrics; set once the server runs.
  void set_server(const HttpServer* server) { server_ = server; }
  /// Called by the control plane after a change, on the core thread.
  void on_change(const ChangeNotice& notice);
  void stop();

 private:
  struct Poll {
    HostId host;
    std::uint64_t after = 0;
    std::uint64_t policy = 0;
    std::chrono::steady_clock::time_point until;
    Responder responder;
  };

  // On the core thread.
  void serve(const HttpRequest& request, const Peer& peer, const Responder& responder);
  HttpResponse serve_anyone(const HttpRequest& request);
  HttpResponse serve_person(const HttpRequest& request, const Responder& responder, bool& answered);
  void serve_agent(const HttpRequest& request, const Peer& peer, const Responder& responder);
  void poll_orders(const HttpRequest& request, const HostId& host, const Responder& responder);
  bool answer_poll(const Poll& poll, bool even_if_empty);
  void tick();
  HttpResponse metrics();
  HttpResponse installer() const;
  HttpResponse agent_package() const;

  ControlPlane& plane_;
  Clock& clock_;
  Options options_;
  const HttpServer* server_ = nullptr;
  std::list<Poll> polls_;
  std::vector<StreamWriter> streams_;
  std::vector<std::string> woken_;  ///< hosts whose polls may have something now
  bool wake_all_ = false;
  std::chrono::steady_clock::time_point ping_at_{};
  std::string last_store_error_;
  std::atomic<std::uint64_t> reports_{0};
  CoreThread core_;  // last: its thread starts when all else is there
};

}  // namespace prunella::control
