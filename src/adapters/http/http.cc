#include "adapters/http/http.h"

#include <algorithm>

#include "base/text.h"

namespace prunella {
namespace {

constexpr std::size_t kQueryParametersMax = 128;  // no route of ours takes more than a dozen

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

Result<std::string> decode_path(std::string_view raw) {
  if (raw.empty() || raw[0] != '/') return invalid_input("the path " + quoted(raw) + " does not begin with '/'");
  std::string path;
  for (std::string_view segment : split(raw.substr(1), '/')) {
    auto decoded = percent_decode(segment);
    if (!decoded) return std::move(decoded).error();
    if (decoded->find('/') != std::string::npos)
      return invalid_input("the path " + quoted(raw) + " has an encoded '/', which proxies and handlers read differently");
    if (*decoded == "." || *decoded == "..") return invalid_input("the path " + quoted(raw) + " has a '.' or '..' segment");
    path += '/';
    path += *decoded;
  }
  return path;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* Headers::find(std::string_view name) const {
  for (const Field& field : fields_)
    if (equal_ignoring_case(field.name, name)) return &field.value;
  return nullptr;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(fields_.begin(), fields_.end(), [&](const Field& f) { return equal_ignoring_case(f.name, name); }));
}

void Headers::set(std::string name, std::string value) {
  std::erase_if(fields_, [&](const Field& f) { return equal_ignoring_case(f.name, name); });
  add(std::move(name), std::move(value));
}

const std::string* HttpRequest::find_query(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return &value;
  return nullptr;
}

Result<std::string> percent_decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return invalid_input("'%' in " + quoted(text) + " is not followed by two hexadecimal digits (a plain '%' is '%25')");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus == Plus::kIsBlank) {
      c = ' ';
    }
    if (c == '\0') return invalid_input(quoted(text) + " contains a NUL");
    out += c;
  }
  if (!is_valid_utf8(out)) return invalid_input(quoted(text) + " does not decode to UTF-8");
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

Status split_target(HttpRequest& request) {
  request.path.clear();
  request.query.clear();
  std::string_view target = request.target;
  for (char c : target)
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f' || c == '#')
      return invalid_input("the target " + quoted(target) + " has a blank, a control byte or a '#'");
  constexpr std::string_view kScheme = "https://";
  if (equal_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
    std::size_t slash = target.find_first_of("/?", kScheme.size());
    if (slash == std::string_view::npos || target[slash] == '?')
      return invalid_input("the target " + quoted(target) + " has no path");
    target.remove_prefix(slash);
  }
  std::size_t mark = target.find('?');
  auto path = decode_path(target.substr(0, mark));
  if (!path) return std::move(path).error();
  std::vector<std::pair<std::string, std::string>> query;
  if (mark != std::string_view::npos) {
    for (std::string_view piece : split(target.substr(mark + 1), '&')) {
      if (piece.empty()) continue;
      if (query.size() == kQueryParametersMax)
        return invalid_input("the query has more than " + std::to_string(kQueryParametersMax) + " parameters");
      std::size_t equals = piece.find('=');
      auto name = percent_decode(piece.substr(0, equals), Plus::kIsBlank);
      if (!name) return std::move(name).error();
      std::string_view raw = equals == std::string_view::npos ? std::string_view() : piece.substr(equals + 1);
      auto value = percent_decode(raw, Plus::kIsBlank);
      if (!value) return std::move(value).error();
      query.emplace_back(*std::move(name), *std::move(value));
    }
  }
  request.path = *std::move(path);
  request.query = std::move(query);
  return {};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_alphanumeric(c) || kMarks.find(c) != std::string_view::npos;
  });
}

bool is_header_value(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
  });
}

}  // namespace prunella
