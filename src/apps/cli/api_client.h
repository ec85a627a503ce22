#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/http/http.h"
#include "apps/cli/config.h"
#include "base/result.h"

namespace prunella::cli {

/// Port: one control plane. Blocking; for one thread at a time, save cancel().
class ApiClient {
 public:
  virtual ~ApiClient() = default;
  /// An answer of 300 and above is an error with the text of the problem.
  /// @error as to_error() of problem.h and HttpClient give it.
  virtual Result<HttpResponse> send(const HttpRequest& request) = 0;
  virtual Status stream(const HttpRequest& request, const std::function<bool(std::string_view)>& on_bytes) = 0;
  virtual void cancel() = 0;
  /// The last send() failed since no answer came in time.
  virtual bool timed_out() const = 0;
};

/// @error kInvalidInput  the context names no server, or neither authority nor pin.
Result<std::unique_ptr<ApiClient>> make_api_client(const Context& context, Duration timeout);

/// "/v1/findings?host=web-1" from pieces; values are encoded, empty ones left out.
std::string target(std::string_view path, const std::vector<std::pair<std::string, std::string>>& query = {});
/// "/v1/hosts/web-1/refresh": the middle encoded.
std::string target_of(std::string_view before, std::string_view id, std::string_view after = {});

}  // namespace prunella::cli
