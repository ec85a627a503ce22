#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "adapters/http/client.h"
#include "apps/agent/config.h"
#include "apps/agent/identity.h"
#include "apps/agent/inbox.h"

namespace prunella::agent {

/// Longer than a control plane of 100,000 hosts takes for the largest report.
inline constexpr Duration kReportTimeout = std::chrono::seconds(30);
/// On top of how long the control plane may hold a poll.
inline constexpr Duration kPollMargin = std::chrono::seconds(15);
/// Between two attempts to renew: a certificate's second half has some hundred of them.
inline constexpr Duration kRenewRetry = std::chrono::minutes(5);
/// Orders of kOrdersHeldMax plans of 2,000 packages each, in base64.
inline constexpr std::size_t kDirectionsBytesMax = 24 << 20;

/// The two connections to the control plane: reports on one, the long poll for directions on the other, each on its own thread with
/// the host's certificate. Answers go to the inbox. It also renews the certificate at half of its life: with a new key, over the
/// connection that the old one opened; the old one is kept until the new one was seen to work.
class Link {
 public:
  /// @error kNotFound, kInvalidInput  there is no usable key and certificate.
  static Result<std::unique_ptr<Link>> open(const AgentConfig& config, const Places& places, Inbox& inbox);
  ~Link();

  void carry_out(SendReport effect);
  void carry_out(FetchDirections effect);

  /// Of the certificate in use.
  CertificateInfo certificate() const;

 private:
  Link(Places places, Inbox& inbox) : places_(std::move(places)), inbox_(inbox) {}

  void report_loop();
  void directions_loop();
  void renew_if_due();
  Status renew();
  void settle(const Status& sent);
  Status use(HttpClient& client, std::uint64_t& seen);

  Places places_;
  Inbox& inbox_;
  std::unique_ptr<HttpClient> report_client_, directions_client_;

  mutable std::mutex mutex_;  // guards the four below
  Identity identity_;
  CertificateInfo certificate_;
  std::optional<Identity> before_;     // the one before, until identity_ was seen to work
  std::uint64_t identity_number_ = 1;  // rises with each change, so that each thread takes it over for its own client

  std::uint64_t report_identity_ = 1, directions_identity_ = 1;  // what each client uses; each belongs to its thread
  Monotonic renew_not_before_{};                                 // the report thread's
  bool new_identity_works_ = true;                               // the report thread's

  BoundedQueue<SendReport> reports_{1};         // one is under way at a time
  BoundedQueue<FetchDirections> fetches_{1};
  std::thread report_thread_, directions_thread_;
};

}  // namespace prunella::agent
