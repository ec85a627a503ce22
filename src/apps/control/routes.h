#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/http/http.h"
#include "adapters/http/server.h"
#include "loop/control_plane.h"

/// The public API as a table: method, path, what it calls. specs/openapi.yaml says the same, and tests/api compares both.
namespace prunella::control {

/// How hosts reach this server, for installer lines.
struct Advertised {
  std::string url;      ///< "https://10.213.0.1:8443"
  std::string key_pin;  ///< base64 SHA-256 of the server's public key (RFC 7469 section 2.4), as curl --pinnedpubkey takes it
};

/// What a handler gets: the request, the parts of its path and who asks.
struct Call {
  ControlPlane& plane;
  const Caller& caller;
  const HttpRequest& request;
  std::map<std::string, std::string, std::less<>> path;
  Instant now;
  const Advertised& server;

  /// The named part of the path as an id. @error kInvalidInput
  template <class IdType>
  Result<IdType> id(std::string_view name) const {
    const std::string& text = path.find(name)->second;
    if (auto named = check_name("an id", text); !named) return std::move(named).error();
    return IdType(text);
  }
  /// ?cursor= and ?limit=. @error kInvalidInput
  Result<PageRequest> page() const;
};

struct Route {
  const char* method;
  const char* pattern;  ///< "/v1/hosts/{host}"
  HttpResponse (*handle)(const Call&);
  /// The answer holds a secret that is kept nowhere, so it can't be given again for a repeated request.
  bool secret_answer = false;
};
const std::vector<Route>& routes();

/// Finds the route of a request: 404 for a path that none has, 405 with Allow for another method.
struct Found {
  const Route* route = nullptr;
  std::map<std::string, std::string, std::less<>> path;
  HttpResponse refusal;
};
Found find_route(const HttpRequest& request);

HttpResponse json_response(int status, const Json& body);

}  // namespace prunella::control
