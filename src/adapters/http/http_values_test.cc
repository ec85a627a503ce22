#include <gtest/gtest.h>

#include "adapters/http/http.h"
#include "adapters/http/problem.h"
#include "adapters/http/wire.h"
#include "base/json.h"

namespace prunella {
namespace {

HttpRequest with_target(std::string target) {
  HttpRequest request;
  request.target = std::move(target);
  return request;
}

TEST(Headers, ComparesNamesWithoutRegardToCase) {
  Headers headers{{"Content-Type", "a"}, {"X-Two", "1"}, {"x-two", "2"}};

  ASSERT_NE(headers.find("content-TYPE"), nullptr);
  EXPECT_EQ(*headers.find("content-TYPE"), "a");
  EXPECT_EQ(headers.count("X-TWO"), 2u);
  EXPECT_EQ(headers.find("X-Three"), nullptr);
}

TEST(Headers, SetReplacesAllOfThatName) {
  Headers headers{{"A", "1"}, {"a", "2"}};

  headers.set("A", "3");

  EXPECT_EQ(headers, (Headers{{"A", "3"}}));
}

TEST(SplitTarget, DecodesPathAndQuery) {
  HttpRequest request = with_target("/v1/hosts/web%201?q=a%26b+c&empty=&flag&q=2");

  ASSERT_TRUE(split_target(request));

  EXPECT_EQ(request.path, "/v1/hosts/web 1");
  ASSERT_EQ(request.query.size(), 4u);
  EXPECT_EQ(*request.find_query("q"), "a&b c");
  EXPECT_EQ(*request.find_query("empty"), "");
  EXPECT_EQ(*request.find_query("flag"), "");
  EXPECT_EQ(request.find_query("other"), nullptr);
}

TEST(SplitTarget, TakesAbsoluteForm) {
  HttpRequest request = with_target("https://example.test:8443/a?b=c");

  ASSERT_TRUE(split_target(request));

  EXPECT_EQ(request.path, "/a");
  EXPECT_EQ(*request.find_query("b"), "c");
}

class RefusedTarget : public testing::TestWithParam<const char*> {};

TEST_P(RefusedTarget, IsInvalidInputAndLeavesNoPath) {
  HttpRequest request = with_target(GetParam());

  auto split = split_target(request);

  ASSERT_FALSE(split) << GetParam();
  EXPECT_EQ(split.error().kind(), ErrorKind::kInvalidInput);
  EXPECT_EQ(request.path, "");
}

INSTANTIATE_TEST_SUITE_P(All, RefusedTarget,
                         testing::Values("", "a", "*", "/%", "/%4", "/%zz", "/%00", "/a%2fb", "/../etc", "/a/%2e%2e/b", "/./a",
                                         "/%ff", "/a b", "/a#b", "/a\x7f", "https://host", "https://host?x", "http://host/a",
                                         "/a?b=%", "/a?b=%c3"));

TEST(SplitTarget, RefusesMoreParametersThanItsLimit) {
  std::string target = "/a?";
  for (int i = 0; i < 129; ++i) target += "x&";
  HttpRequest request = with_target(target);

  EXPECT_FALSE(split_target(request));
}

TEST(PercentEncode, RoundTripsEveryByteOfText) {
  std::string text = "a/b c%?&=+\xc3\xa4~-._";

  auto decoded = percent_decode(percent_encode(text), Plus::kIsBlank);

  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, text);
}

TEST(Problem, SaysKindStatusAndText) {
  HttpResponse response = problem(not_found("no host 'web-9'"));

  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(*response.headers.find("content-type"), "application/problem+json");
  auto body = parse_json(response.body.substr(0, response.body.size() - 1));
  ASSERT_TRUE(body);
  EXPECT_EQ(*body->find("title")->as_string(), "not found");
  EXPECT_EQ(*body->find("detail")->as_string(), "no host 'web-9'");
  EXPECT_EQ(*body->find("status")->as_int(), 404);
  EXPECT_EQ(*body->find("type")->as_string(), "about:blank");
}

TEST(Problem, ComesBackAsTheSameError) {
  for (ErrorKind kind : {ErrorKind::kInvalidInput, ErrorKind::kNotFound, ErrorKind::kConflict, ErrorKind::kUnavailable,
                         ErrorKind::kDenied, ErrorKind::kExpired, ErrorKind::kCorrupt, ErrorKind::kExhausted}) {
    Error back = to_error(problem(Error(kind, "why")));

    EXPECT_EQ(back.kind(), kind);
    EXPECT_EQ(back.text(), "why");
  }
}

TEST(Problem, CarriesTheTypeOfAnErrorThatHasOne) {
  HttpResponse response = problem(conflict("3 hosts need nothing").of_type("nothing-to-plan"));

  auto body = parse_json(response.body.substr(0, response.body.size() - 1));
  ASSERT_TRUE(body);
  EXPECT_EQ(*body->find("type")->as_string(), "/problems/nothing-to-plan");
  EXPECT_EQ(*body->find("title")->as_string(), "nothing to plan");
  EXPECT_EQ(*body->find("status")->as_int(), 409);
  EXPECT_EQ(to_error(response).type(), "nothing-to-plan");
  EXPECT_EQ(to_error(problem(conflict("why"))).type(), "");
  response.body = R"({"type":"https://elsewhere.example/x","detail":"why"})";
  EXPECT_EQ(to_error(response).type(), "") << "a type of someone else's";
}

TEST(Problem, StaysJsonWhateverTheTextHolds) {
  HttpResponse response = problem(invalid_input(std::string("\xff\xfe \"\n") + std::string(10'000, 'x')));

  auto body = parse_json(response.body.substr(0, response.body.size() - 1));

  ASSERT_TRUE(body);
  EXPECT_LE(body->find("detail")->as_string()->size(), 4096u);
}

TEST(Problem, AnAnswerThatIsNoProblemIsNamedByItsStatus) {
  HttpResponse response{.status = 502, .headers = {}, .body = "<html>"};

  Error error = to_error(response);

  EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(error.text(), "the server answered 502 Bad Gateway");
}

TEST(ParseRequest, ReadsMethodTargetHeadersAndBody) {
  auto request = wire::parse_request("PATCH /a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");

  ASSERT_TRUE(request) << request.error().text();
  EXPECT_EQ(request->method, "PATCH");
  EXPECT_EQ(request->path, "/a");
  EXPECT_EQ(request->body, "abc");
  EXPECT_EQ(*request->headers.find("HOST"), "x");
}

TEST(ParseRequest, JoinsChunksAndKeepsTrailersOutOfTheHeader) {
  auto request = wire::parse_request(
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Role: admin\r\n\r\n");

  ASSERT_TRUE(request) << request.error().text();
  EXPECT_EQ(request->body, "abcde");
  EXPECT_EQ(request->headers.find("X-Role"), nullptr);
}

class RefusedRequest : public testing::TestWithParam<const char*> {};

TEST_P(RefusedRequest, IsInvalidInput) {
  auto request = wire::parse_request(GetParam(), {.header_bytes_max = 1024, .header_fields_max = 5}, 10);

  ASSERT_FALSE(request) << GetParam();
  EXPECT_EQ(request.error().kind(), ErrorKind::kInvalidInput);
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedRequest,
    testing::Values("", "GET", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n",
                    "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "G\x01T / HTTP/1.1\r\nHost: x\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n",
                    // Two lengths, two framings: the ways of request smuggling.
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n",
                    // Above the limits of this test.
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nabcdefghijk",
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n"));

TEST(RequestParser, ReadsByteByByteAndLeavesTheNextRequest) {
  std::string first = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
  wire::RequestParser parser({});
  std::string buffer;
  auto state = wire::RequestParser::State::kNeedsMore;
  for (char c : first) {
    ASSERT_EQ(state, wire::RequestParser::State::kNeedsMore);
    buffer += c;
    state = parser.put(buffer);
    if (state == wire::RequestParser::State::kHeaderDone) state = parser.set_body_bytes_max(10);
  }
  EXPECT_EQ(state, wire::RequestParser::State::kDone);
  EXPECT_EQ(parser.request().body, "hi");

  wire::RequestParser pipelined({});
  buffer = first + "GET /b";
  state = pipelined.put(buffer);
  ASSERT_EQ(state, wire::RequestParser::State::kHeaderDone);
  ASSERT_EQ(pipelined.set_body_bytes_max(10), wire::RequestParser::State::kNeedsMore);
  EXPECT_EQ(pipelined.put(buffer), wire::RequestParser::State::kDone);
  EXPECT_EQ(buffer, "GET /b");
}

TEST(RequestParser, RefusesAnEndlessChunkHeader) {
  wire::RequestParser parser({.header_bytes_max = 100, .header_fields_max = 5});
  std::string buffer = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(parser.put(buffer), wire::RequestParser::State::kHeaderDone);
  ASSERT_EQ(parser.set_body_bytes_max(1000), wire::RequestParser::State::kNeedsMore);

  buffer += "1;" + std::string(200, 'x');

  EXPECT_EQ(parser.put(buffer), wire::RequestParser::State::kRefused);
  EXPECT_EQ(parser.refusal().status, 431);
}

TEST(ToWire, RefusesWhatWouldSplitTheAnswer) {
  HttpResponse response{.status = 200, .headers = {{"Location", "/a\r\nSet-Cookie: x"}}, .body = ""};

  EXPECT_FALSE(wire::to_wire(response, wire::Framing::kLength, wire::KeepAlive::kYes, "now"));
  EXPECT_FALSE(wire::to_wire(with_target("/a HTTP/1.1\r\nX: y"), "host"));
}

TEST(ToWire, ComesBackAsTheSameAnswer) {
  HttpResponse response{.status = 201, .headers = {{"X-A", "b"}}, .body = "hello"};

  auto bytes = wire::to_wire(response, wire::Framing::kLength, wire::KeepAlive::kYes, "Sun, 06 Nov 1994 08:49:37 GMT");
  ASSERT_TRUE(bytes);
  auto back = wire::parse_response(*bytes);

  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->status, 201);
  EXPECT_EQ(back->body, "hello");
  EXPECT_EQ(*back->headers.find("x-a"), "b");
}

TEST(ParseResponse, NoticesACutOffBody) {
  auto response = wire::parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");

  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kUnavailable);
}

TEST(ToHttpDate, IsTheFormOfRfc9110) { EXPECT_EQ(wire::to_http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT"); }

}  // namespace
}  // namespace prunella
