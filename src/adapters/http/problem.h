#pragma once

#include <string>
#include <string_view>

#include "adapters/http/http.h"
#include "base/result.h"

namespace prunella {

/// The status that tells a client of `kind`: 400, 404, 409, 503, 403, 410, 500, 429 in the order of the enumerators.
int http_status(ErrorKind kind);

/// An application/problem+json answer (RFC 9457): the error's type as "/problems/<type>", or "about:blank" when it has none, with the
/// type or the kind in words as title, and the error's text as detail.
/// Bytes of the text that are no UTF-8 become '?'. A kCorrupt error hides nothing: its text is for the operator who reads it.
HttpResponse problem(const Error& error);
/// The same with a status of its own, where a kind is too coarse (401, 405, 413, 415, 431, ...).
HttpResponse problem(int status, std::string_view detail);

/// What an answer that is no success means to a caller: the reverse of http_status(), with the problem's type and its detail as text
/// when the body is one, otherwise the status line. 5xx is kUnavailable, save 500 (kCorrupt). Call it only for status 300 and up.
Error to_error(const HttpResponse& response);

}  // namespace prunella
