#include "apps/cli/api_client.h"

#include <algorithm>
#include <chrono>

#include "adapters/http/client.h"
#include "adapters/http/problem.h"
#include "base/text.h"

namespace prunella::cli {

namespace {

// A plan for 12,000 hosts of a few packages each; beyond it a person can't judge it anyway.
constexpr std::size_t kAnswerBytesMax = 256 << 20;

class HttpsApiClient : public ApiClient {
 public:
  HttpsApiClient(std::unique_ptr<HttpClient> client, std::string token, Duration timeout)
      : client_(std::move(client)), token_(std::move(token)), timeout_(timeout) {}

  Result<HttpResponse> send(const HttpRequest& request) override {
    timed_out_ = false;
    auto begun = std::chrono::steady_clock::now();
    auto response = client_->send(with_token(request));
    if (!response) {
      timed_out_ = response.error().kind() == ErrorKind::kUnavailable && std::chrono::steady_clock::now() - begun >= timeout_;
      return response;
    }
    if (response->status >= 300) return to_error(*response);
    return response;
  }

  Status stream(const HttpRequest& request, const std::function<bool(std::string_view)>& on_bytes) override {
    return client_->stream(with_token(request), on_bytes);
  }

  void cancel() override { client_->cancel(); }
  bool timed_out() const override { return timed_out_; }

 private:
  HttpRequest with_token(HttpRequest request) const {
    if (!token_.empty()) request.headers.set("Authorization", "Bearer " + token_);
    return request;
  }

  std::unique_ptr<HttpClient> client_;
  std::string token_;
  Duration timeout_;
  bool timed_out_ = false;
};

}  // namespace

Result<std::unique_ptr<ApiClient>> make_api_client(const Context& context, Duration timeout) {
  auto address = parse_server(context.server);
  if (!address) return std::move(address).error();
  if (!context.ca_pem && !context.ca_sha256)
    return invalid_input("the certificate authority of " + quoted(context.server) + " isn't known: prunella context add NAME --server URL --ca FILE");
  HttpClientOptions options;
  options.host = address->host;
  options.port = address->port;
  options.ca_pem = context.ca_pem.value_or("");
  options.pinned_sha256 = options.ca_pem.empty() ? context.ca_sha256.value_or("") : "";
  options.connect_timeout = std::min(timeout, Duration(std::chrono::seconds(10)));
  options.request_timeout = timeout;
  options.body_bytes_max = kAnswerBytesMax;
  auto client = HttpClient::make(options);
  if (!client) return std::move(client).error();
  return std::unique_ptr<ApiClient>(new HttpsApiClient(*std::move(client), context.token.value_or(""), timeout));
}

std::string target(std::string_view path, const std::vector<std::pair<std::string, std::string>>& query) {
  std::string out(path);
  char separator = '?';
  for (const auto& [name, value] : query) {
    if (value.empty()) continue;
    out += separator + name + "=" + percent_encode(value);
    separator = '&';
  }
  return out;
}

std::string target_of(std::string_view before, std::string_view id, std::string_view after) {
  return std::string(before) + percent_encode(id) + std::string(after);
}

}  // namespace prunella::cli
