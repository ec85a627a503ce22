#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace prunella {

/// Header fields in the order in which they came. Names compare without regard to ASCII case (RFC 9110 section 5.1).
class Headers {
 public:
  struct Field {
    std::string name;
    std::string value;
    bool operator==(const Field&) const = default;
  };

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : fields_(fields) {}

  /// The value of the first field `name`; nullptr when there is none.
  const std::string* find(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  void add(std::string name, std::string value) { fields_.push_back({std::move(name), std::move(value)}); }
  /// Puts one field `name` in place of all that had that name.
  void set(std::string name, std::string value);

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  std::size_t size() const { return fields_.size(); }
  bool operator==(const Headers&) const = default;

 private:
  std::vector<Field> fields_;
};

/// One request. A server fills everything; a client reads `method`, `target`, `headers` and `body`.
struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  ///< as on the wire: path and query, still percent-encoded
  std::string path;          ///< decoded; begins with '/', has no "." or ".." segment and no NUL
  std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order; a name without '=' has an empty value
  Headers headers;
  std::string body;

  /// The first query parameter `name`; nullptr when it isn't there.
  const std::string* find_query(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  Headers headers;  ///< without Content-Length, Transfer-Encoding, Connection and Date: server and client see to those
  std::string body;
};

/// Names equal without regard to ASCII case.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// What '+' means: itself in a path, a blank in a query as browsers write it (application/x-www-form-urlencoded).
enum class Plus { kIsPlus, kIsBlank };
/// Decodes %XX. Strict: a '%' without two hexadecimal digits, a NUL, and bytes that are no UTF-8 are refused.
/// Source: RFC 3986 section 2.1.
/// @error kInvalidInput  with the text quoted.
Result<std::string> percent_decode(std::string_view text, Plus plus = Plus::kIsPlus);
/// Encodes everything but the unreserved characters of RFC 3986 section 2.3, '/' too: for one path segment or one parameter.
std::string percent_encode(std::string_view text);

/// Fills path and query from `request.target`. Accepts origin-form ("/a?b=c") and https absolute-form (RFC 9112 section 3.2).
/// Refuses what two readers could take differently: an encoded '/', "." and ".." segments, '#', control bytes.
/// @error kInvalidInput  with the target quoted; path and query are then empty.
Status split_target(HttpRequest& request);

/// "Not Found" for 404; "Unknown" for a status that isn't in the registry's part that we use.
std::string_view reason_phrase(int status);

/// A header name (RFC 9110 token) or value without control bytes: what may be written to the wire.
bool is_header_name(std::string_view name);
bool is_header_value(std::string_view value);

}  // namespace prunella
