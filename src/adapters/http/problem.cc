#include "adapters/http/problem.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace prunella {
namespace {

constexpr std::size_t kDetailBytesMax = 4096;  // longer texts belong into the log, not into an answer

std::string utf8_or_question_marks(std::string_view text) {
  std::string out(text.substr(0, kDetailBytesMax));
  while (!out.empty() && text.size() > out.size() && (static_cast<unsigned char>(text[out.size()]) & 0xc0) == 0x80)
    out.pop_back();  // the cut went through a character
  if (is_valid_utf8(out)) return out;
  for (char& c : out)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return out;
}

constexpr std::string_view kNoType = "about:blank";
constexpr std::string_view kTypes = "/problems/";  // the whole path, as RFC 9457 section 3.1.1 wants where there is no host to name

HttpResponse make(int status, std::string_view title, std::string_view detail, const std::string& type = std::string(kNoType)) {
  Json body{Json::Object{}};
  body["type"] = type;
  body["title"] = title;
  body["status"] = status;
  body["detail"] = utf8_or_question_marks(detail);
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "application/problem+json");
  response.headers.add("Cache-Control", "no-store");
  response.body = to_canonical(body) + "\n";
  return response;
}

ErrorKind kind_of(int status) {
  switch (status) {
    case 401:
    case 403: return ErrorKind::kDenied;
    case 404:
    case 405: return ErrorKind::kNotFound;
    case 409:
    case 412:
    case 428: return ErrorKind::kConflict;
    case 410: return ErrorKind::kExpired;
    case 413:
    case 429:
    case 431: return ErrorKind::kExhausted;
    case 408: return ErrorKind::kUnavailable;
    case 500: return ErrorKind::kCorrupt;
    default: return status >= 500 ? ErrorKind::kUnavailable : ErrorKind::kInvalidInput;
  }
}

}  // namespace

int http_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidInput: return 400;
    case ErrorKind::kNotFound: return 404;
    case ErrorKind::kConflict: return 409;
    case ErrorKind::kUnavailable: return 503;
    case ErrorKind::kDenied: return 403;
    case ErrorKind::kExpired: return 410;
    case ErrorKind::kCorrupt: return 500;
    case ErrorKind::kExhausted: return 429;
  }
  return 500;
}

HttpResponse problem(const Error& error) {
  int status = http_status(error.kind());
  if (error.type().empty()) return make(status, to_text(error.kind()), error.text());
  std::string title = error.type();
  std::ranges::replace(title, '-', ' ');
  return make(status, title, error.text(), std::string(kTypes) + error.type());
}

HttpResponse problem(int status, std::string_view detail) { return make(status, reason_phrase(status), detail); }

Error to_error(const HttpResponse& response) {
  std::string text = "the server answered " + std::to_string(response.status) + " " + std::string(reason_phrase(response.status));
  std::string type;
  const std::string* media_type = response.headers.find("Content-Type");
  if (media_type && media_type->starts_with("application/problem+json")) {
    if (auto body = parse_json(response.body)) {
      const Json* detail = body->find("detail");
      if (detail && detail->as_string() && !detail->as_string()->empty()) text = *detail->as_string();
      const Json* uri = body->find("type");
      if (uri && uri->as_string() && uri->as_string()->starts_with(kTypes)) type = uri->as_string()->substr(kTypes.size());
    }
  }
  return Error(kind_of(response.status), std::move(text)).of_type(type);
}

}  // namespace prunella
