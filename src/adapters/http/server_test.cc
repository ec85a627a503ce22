#include "adapters/http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "adapters/http/client.h"
#include "adapters/http/problem.h"
#include "adapters/http/testing.h"
#include "adapters/http/tls.h"
#include "adapters/http/wire.h"

namespace prunella {
namespace {

using ::testing::HasSubstr;
using testing_http::Authority;
using testing_http::eventually;
using testing_http::Inbox;
using testing_http::wall_now;

HttpRequest get(std::string target) {
  HttpRequest request;
  request.target = std::move(target);
  return request;
}
HttpRequest post(std::string target, std::string body) {
  HttpRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.body = std::move(body);
  return request;
}
HttpResponse ok(std::string body) { return {.status = 200, .headers = {{"Content-Type", "text/plain"}}, .body = std::move(body)}; }

/// Says who asked, and gives the body back.
void echo(HttpRequest request, const Peer& peer, Responder responder) {
  std::string who = peer.certificate ? peer.certificate->common_name : "nobody";
  responder.answer(ok(request.method + " " + request.path + " by " + who + ": " + request.body));
}

/// Waits for `events` on `socket`; false after 20 seconds.
bool wait_for(int socket, short events) {
  pollfd waited{socket, events, 0};
  return ::poll(&waited, 1, 20'000) == 1;
}

int connect_to(std::uint16_t port) {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return socket;
}

/// A client that sends whatever bytes it's told to, over TLS.
class RawClient {
 public:
  RawClient(std::uint16_t port, const std::string& ca_pem, int receive_buffer = 0) : socket_(connect_to(port)) {
    if (receive_buffer > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    EXPECT_EQ(::fcntl(socket_, F_SETFL, O_NONBLOCK), 0);
    session_ = std::make_unique<tls::Session>(tls::Context::make_client({ca_pem, "", "", ""}).value(), socket_, "127.0.0.1");
    for (;;) {
      tls::Step step = session_->handshake();
      if (step == tls::Step::kDone) break;
      if (!go_on(step)) {
        ADD_FAILURE() << session_->failure().reason;
        break;
      }
    }
  }
  ~RawClient() {
    session_.reset();
    ::close(socket_);
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t count = 0;
      tls::Step step = session_->write(bytes, count);
      if (step == tls::Step::kDone) {
        bytes.remove_prefix(count);
      } else if (!go_on(step)) {
        return false;
      }
    }
    return true;
  }
  /// Reads until `text` was seen or the server closed; gives all that was read.
  std::string read_until(std::string_view text) {
    std::string all;
    char bytes[4096];
    while (all.find(text) == std::string::npos) {
      std::size_t count = 0;
      tls::Step step = session_->read(bytes, count);
      if (step == tls::Step::kDone) {
        all.append(bytes, count);
      } else if (!go_on(step)) {
        break;
      }
    }
    return all;
  }
  std::string read_all() { return read_until("\x01 never"); }

 private:
  bool go_on(tls::Step step) {
    if (step == tls::Step::kWantRead) return wait_for(socket_, POLLIN);
    if (step == tls::Step::kWantWrite) return wait_for(socket_, POLLOUT);
    return false;
  }
  int socket_;
  std::unique_ptr<tls::Session> session_;
};

class Server : public ::testing::Test {
 protected:
  void start(HttpHandler handler = echo) {
    KeyAndCertificate pair = authority.server();
    options.certificate_pem = pair.certificate_pem;
    options.key_pem = pair.key_pem;
    options.client_ca_pem = authority.pem.certificate_pem;
    options.on_tls_failure = [this](const TlsFailure& failure) { failures.put(failure); };
    auto started = HttpServer::start(options, std::move(handler));
    ASSERT_TRUE(started) << started.error().text();
    server = *std::move(started);
  }
  HttpClientOptions client_options() {
    HttpClientOptions made;
    made.host = "127.0.0.1";
    made.port = server->port();
    made.ca_pem = authority.pem.certificate_pem;
    return made;
  }
  std::unique_ptr<HttpClient> client(HttpClientOptions made) { return HttpClient::make(std::move(made)).value(); }
  std::unique_ptr<HttpClient> client() { return client(client_options()); }
  std::unique_ptr<HttpClient> client(const KeyAndCertificate& pair) {
    HttpClientOptions made = client_options();
    made.certificate_pem = pair.certificate_pem;
    made.key_pem = pair.key_pem;
    return client(std::move(made));
  }
  std::string raw(std::string_view bytes) {
    RawClient raw_client(server->port(), authority.pem.certificate_pem);
    raw_client.send(bytes);
    return raw_client.read_all();
  }
  /// That a client with this certificate is refused on both sides, each with its reason.
  void expect_refused(const KeyAndCertificate& pair, TlsFailureKind kind, std::string_view name, std::string_view alert) {
    start();
    auto answer = client(pair)->send(get("/"));

    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied) << answer.error().text();
    EXPECT_THAT(answer.error().text(), HasSubstr(std::string(alert)));
    auto failure = failures.take();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, kind) << failure->reason;
    EXPECT_EQ(failure->subject, name);
    EXPECT_EQ(failure->address, "127.0.0.1");
    EXPECT_EQ(failure->sha256, *certificate_sha256(pair.certificate_pem));
    EXPECT_EQ(server->figures().tls_failures, 1u);
    EXPECT_EQ(server->figures().requests, 0u);
  }

  Authority authority{1};
  HttpServerOptions options;
  Inbox<TlsFailure> failures;
  std::unique_ptr<HttpServer> server;
};

TEST_F(Server, AnswersManyRequestsOnOneConnection) {
  start();
  auto one = client();

  for (int i = 0; i < 100; ++i) {
    auto answer = one->send(post("/n", std::to_string(i)));
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->body, "POST /n by nobody: " + std::to_string(i));
  }

  EXPECT_EQ(server->figures().accepted, 1u);
  EXPECT_EQ(server->figures().requests, 100u);
}

TEST_F(Server, ServesManyConnectionsOnSeveralThreads) {
  options.threads = 3;
  start();
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 60; ++i) clients.push_back(client());

  for (int round = 0; round < 2; ++round)
    for (auto& one : clients) EXPECT_TRUE(one->send(get("/")));

  EXPECT_EQ(server->figures().connections_now, 60u);
  EXPECT_EQ(server->figures().requests, 120u);
}

TEST_F(Server, TellsTheHandlerThePeersCertificate) {
  Inbox<Peer> peers;
  start([&](HttpRequest, const Peer& peer, Responder responder) {
    peers.put(peer);
    responder.answer(ok("x"));
  });
  KeyAndCertificate pair = authority.client("web-1");

  ASSERT_TRUE(client(pair)->send(get("/")));
  auto peer = peers.take();

  ASSERT_TRUE(peer && peer->certificate);
  CertificateInfo info = parse_certificate(pair.certificate_pem).value();
  EXPECT_EQ(peer->address, "127.0.0.1");
  EXPECT_EQ(peer->certificate->common_name, "web-1");
  EXPECT_EQ(peer->certificate->sha256, info.sha256);
  EXPECT_EQ(peer->certificate->serial, info.serial);
  EXPECT_EQ(peer->certificate->not_after, info.not_after);
}

TEST_F(Server, LetsTheHandlerDecideAboutAClientWithoutACertificate) {
  start();

  auto answer = client()->send(get("/x"));

  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "GET /x by nobody: ");
}

TEST_F(Server, RefusesAnExpiredClientCertificate) {
  expect_refused(authority.client("late", wall_now() - std::chrono::hours(48)), TlsFailureKind::kExpired, "late",
                 "certificate expired");
}

TEST_F(Server, RefusesAClientCertificateOfTheFuture) {
  expect_refused(authority.client("early", wall_now() + std::chrono::hours(2)), TlsFailureKind::kNotYetValid, "early",
                 "bad certificate");
}

TEST_F(Server, RefusesAClientCertificateOfAnotherAuthority) {
  Authority other(2);
  expect_refused(other.client("foreign"), TlsFailureKind::kUnknownCa, "foreign", "unknown CA");
}

TEST_F(Server, RefusesAServersCertificateInAClientsHand) {
  expect_refused(authority.server(), TlsFailureKind::kWrongPurpose, "localhost", "unsupported certificate");
}

TEST_F(Server, RefusesASelfSignedClientCertificate) {
  testing_http::SeededRandom random(5);
  expect_refused(make_authority("self", wall_now(), kHostLifetime, random).value(), TlsFailureKind::kUnknownCa, "self",
                 "unknown CA");
}

TEST_F(Server, RefusesTheNameOfItsAuthorityOnAnotherKey) {
  Authority impostor(1);  // same name and serial number, other key
  expect_refused(impostor.client("web-1"), TlsFailureKind::kUnknownCa, "web-1", "unknown CA");
}

TEST_F(Server, RefusesACertificateThatEndsWhileTheConnectionIsOpen) {
  start();
  auto soon = authority.client("short", wall_now(), std::chrono::seconds(2));
  auto one = client(soon);
  ASSERT_TRUE(one->send(get("/")));

  Result<HttpResponse> answer = not_found("");
  ASSERT_TRUE(eventually([&] { return (answer = one->send(get("/"))), !answer || answer->status != 200; }));

  // The connection tells it with 403; should it be opened anew, the handshake does.
  if (answer) {
    EXPECT_EQ(answer->status, 403);
  }
  auto failure = failures.take();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, TlsFailureKind::kExpired);
}

TEST_F(Server, RefusesTls12) {
  start();
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  int socket = connect_to(server->port());
  SSL_set_fd(ssl.get(), socket);

  EXPECT_NE(SSL_connect(ssl.get()), 1);

  ::close(socket);
  auto failure = failures.take();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, TlsFailureKind::kProtocol) << failure->reason;
}

TEST_F(Server, NamesPlainHttpOnItsTlsPort) {
  start();
  int socket = connect_to(server->port());
  std::string_view bytes = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

  ASSERT_EQ(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));

  auto failure = failures.take();
  ::close(socket);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, TlsFailureKind::kProtocol);
  EXPECT_THAT(failure->reason, HasSubstr("http request"));
}

TEST_F(Server, EndsAHandshakeThatDoesNotCome) {
  options.handshake_timeout = std::chrono::milliseconds(50);
  start();
  int socket = connect_to(server->port());

  auto failure = failures.take();

  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, TlsFailureKind::kTimeout);
  char byte = 0;
  ASSERT_TRUE(wait_for(socket, POLLIN));
  EXPECT_EQ(::recv(socket, &byte, 1, 0), 0);
  ::close(socket);
}

TEST_F(Server, AnswersALongPollFromAnotherThreadLater) {
  Inbox<Responder> held;
  start([&](HttpRequest, const Peer&, Responder responder) { held.put(std::move(responder)); });
  std::thread answerer([&] {
    auto responder = held.take();
    if (responder) responder->answer(ok("later"));
  });

  auto answer = client()->send(get("/poll"));

  answerer.join();
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "later");
}

TEST_F(Server, AnswersOnceAndSaysSo) {
  std::atomic<bool> first{false}, second{true};
  start([&](HttpRequest, const Peer&, Responder responder) {
    first = responder.answer(ok("one"));
    second = responder.answer(ok("two"));
  });

  auto answer = client()->send(get("/"));

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "one");
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
}

TEST_F(Server, Answers503WhenTheResponderIsDropped) {
  start([](HttpRequest, const Peer&, Responder) {});
  auto one = client();

  auto answer = one->send(get("/"));

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  ASSERT_NE(answer->headers.find("Retry-After"), nullptr);
  EXPECT_EQ(server->figures().unanswered, 1u);
  EXPECT_TRUE(one->send(get("/")));
  EXPECT_EQ(server->figures().accepted, 1u);
}

TEST_F(Server, Answers503WhenTheHandlerTakesTooLong) {
  Inbox<Responder> held;
  options.answer_timeout = std::chrono::milliseconds(50);
  start([&](HttpRequest, const Peer&, Responder responder) { held.put(std::move(responder)); });

  auto answer = client()->send(get("/"));

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  auto responder = held.take();
  ASSERT_TRUE(responder);
  EXPECT_TRUE(responder->is_gone());
  EXPECT_FALSE(responder->answer(ok("too late")));
}

TEST_F(Server, Answers500WhenTheHandlerThrows) {
  start([](HttpRequest, const Peer&, Responder) { throw std::runtime_error("oops"); });

  auto answer = client()->send(get("/"));

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 500);
}

TEST_F(Server, Answers500InsteadOfAHeaderThatSplitsTheAnswer) {
  start([](HttpRequest, const Peer&, Responder responder) {
    responder.answer({.status = 200, .headers = {{"X", "a\r\nSet-Cookie: b"}}, .body = ""});
  });

  auto answer = client()->send(get("/"));

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->headers.find("Set-Cookie"), nullptr);
}

TEST_F(Server, NoticesThatALongPollsClientWentAway) {
  Inbox<Responder> held;
  start([&](HttpRequest, const Peer&, Responder responder) { held.put(std::move(responder)); });
  auto raw_client = std::make_unique<RawClient>(server->port(), authority.pem.certificate_pem);
  raw_client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  auto responder = held.take();
  ASSERT_TRUE(responder);

  raw_client.reset();

  EXPECT_TRUE(eventually([&] { return responder->is_gone(); }));
  EXPECT_TRUE(eventually([&] { return server->figures().connections_now == 0; }));
}

TEST_F(Server, AnswersPipelinedRequestsInTheirOrder) {
  Inbox<Responder> held;
  start([&](HttpRequest request, const Peer& peer, Responder responder) {
    if (request.path == "/slow") return held.put(std::move(responder));
    echo(std::move(request), peer, std::move(responder));
  });
  RawClient raw_client(server->port(), authority.pem.certificate_pem);

  raw_client.send(
      "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nB"
      "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  auto responder = held.take();
  ASSERT_TRUE(responder);
  EXPECT_EQ(server->figures().requests, 1u);
  responder->answer(ok("slow one"));
  std::string all = raw_client.read_all();

  std::size_t slow = all.find("slow one"), b = all.find("POST /b"), c = all.find("GET /c");
  EXPECT_LT(slow, b);
  EXPECT_LT(b, c);
  EXPECT_NE(c, std::string::npos);
}

TEST_F(Server, AnswersHeadWithoutABody) {
  start();
  HttpRequest request = get("/");
  request.method = "HEAD";
  auto one = client();

  auto answer = one->send(request);

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "");
  EXPECT_EQ(*answer->headers.find("Content-Length"), std::to_string(std::string("HEAD / by nobody: ").size()));
  EXPECT_TRUE(one->send(get("/")));
}

TEST_F(Server, AnswersHttp10AndCloses) {
  start();

  std::string all = raw("GET /old HTTP/1.0\r\n\r\n");

  EXPECT_THAT(all, HasSubstr("GET /old by nobody"));
  EXPECT_THAT(all, HasSubstr("Connection: close"));
}

TEST_F(Server, SaysContinueWhenAsked) {
  start();
  RawClient raw_client(server->port(), authority.pem.certificate_pem);

  raw_client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(raw_client.read_until("\r\n\r\n"), HasSubstr("100 Continue"));
  raw_client.send("hi");

  EXPECT_THAT(raw_client.read_until("hi"), HasSubstr("200 OK"));
}

TEST_F(Server, RefusesABodyAboveTheLimitOfItsPath) {
  options.body_bytes_max = 100;
  options.path_limits = {{"/big", 2000}, {"/big/small", 10}};
  start();

  EXPECT_EQ(client()->send(post("/", std::string(100, 'x')))->status, 200);
  EXPECT_EQ(client()->send(post("/", std::string(101, 'x')))->status, 413);
  EXPECT_EQ(client()->send(post("/big/one", std::string(2000, 'x')))->status, 200);
  EXPECT_EQ(client()->send(post("/big/small", std::string(11, 'x')))->status, 413);
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"), HasSubstr(" 413 "));
}

TEST_F(Server, LetsTheClientReadARefusalBeforeItsBodyIsSent) {
  start();

  auto answer = client()->send(post("/", std::string(3 << 20, 'x')));

  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 413);
}

TEST_F(Server, AnswersMalformedBytesWithAProblem) {
  start();

  for (const char* bytes : {"\x01\x02\x03\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
                            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    std::string all = raw(bytes);
    EXPECT_THAT(all, HasSubstr(" 400 ")) << bytes;
    EXPECT_THAT(all, HasSubstr("application/problem+json")) << bytes;
  }

  EXPECT_EQ(server->figures().malformed, 4u);
  EXPECT_EQ(server->figures().requests, 0u);
}

TEST_F(Server, RefusesAFloodOfHeaders) {
  start();

  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n", long_one = many + "A: " + std::string(20'000, 'a') + "\r\n\r\n";
  for (int i = 0; i < 200; ++i) many += "A" + std::to_string(i) + ": x\r\n";
  many += "\r\n";

  EXPECT_THAT(raw(many), HasSubstr(" 431 "));
  EXPECT_THAT(raw(long_one), HasSubstr(" 431 "));
}

TEST_F(Server, EndsARequestThatTrickles) {
  options.request_timeout = std::chrono::milliseconds(100);
  start();

  std::string all = raw("GET / HTTP/1.1\r\nHost:");

  EXPECT_THAT(all, HasSubstr(" 408 "));
  EXPECT_EQ(server->figures().timed_out, 1u);
}

TEST_F(Server, EndsAConnectionThatIsIdle) {
  options.idle_timeout = std::chrono::milliseconds(50);
  start();
  RawClient raw_client(server->port(), authority.pem.certificate_pem);
  raw_client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

  std::string all = raw_client.read_all();

  EXPECT_THAT(all, HasSubstr(" 200 "));
  EXPECT_TRUE(eventually([&] { return server->figures().connections_now == 0; }));
}

TEST_F(Server, RefusesPolitelyAboveItsConnectionLimit) {
  options.connections_max = 2;
  start();
  auto one = client(), two = client(), three = client();
  ASSERT_TRUE(one->send(get("/")));
  ASSERT_TRUE(two->send(get("/")));

  auto refused = three->send(get("/"));

  ASSERT_TRUE(refused) << refused.error().text();
  EXPECT_EQ(refused->status, 503);
  EXPECT_NE(refused->headers.find("Retry-After"), nullptr);
  EXPECT_EQ(server->figures().refused, 1u);
  one->disconnect();
  EXPECT_TRUE(eventually([&] { return three->send(get("/"))->status == 200; }));
}

TEST_F(Server, StreamsPiecesAsTheyAreWritten) {
  Inbox<StreamWriter> writers;
  start([&](HttpRequest, const Peer&, Responder responder) {
    writers.put(responder.start_stream({.status = 200, .headers = {{"Content-Type", "text/event-stream"}}, .body = "data: 0\n\n"}));
  });
  Inbox<std::string> pieces;
  auto one = client();
  std::thread reader([&] {
    auto streamed = one->stream(get("/events"), [&](std::string_view piece) { return pieces.put(std::string(piece)), true; });
    EXPECT_TRUE(streamed) << streamed.error().text();
    pieces.put("end");
  });

  auto writer = writers.take();
  ASSERT_TRUE(writer);
  EXPECT_EQ(pieces.take(), "data: 0\n\n");
  EXPECT_TRUE(writer->write("data: 1\n\n"));
  EXPECT_EQ(pieces.take(), "data: 1\n\n");
  EXPECT_EQ(server->figures().streams_now, 1u);
  writer->close();
  EXPECT_EQ(pieces.take(), "end");
  EXPECT_FALSE(writer->write("more"));
  reader.join();

  EXPECT_TRUE(eventually([&] { return server->figures().streams_now == 0; }));
}

TEST_F(Server, TellsAStreamsWriterThatItsReaderLeft) {
  Inbox<StreamWriter> writers;
  start([&](HttpRequest, const Peer&, Responder responder) {
    writers.put(responder.start_stream({.status = 200, .headers = {}, .body = "hello"}));
  });

  ASSERT_TRUE(client()->stream(get("/events"), [](std::string_view) { return false; }));

  auto writer = writers.take();
  ASSERT_TRUE(writer);
  EXPECT_TRUE(eventually([&] { return !writer->is_open(); }));
}

TEST_F(Server, CutsOffAStreamThatIsReadTooSlowly) {
  Inbox<StreamWriter> writers;
  options.stream_buffer_bytes_max = 64 * 1024;
  start([&](HttpRequest, const Peer&, Responder responder) {
    writers.put(responder.start_stream({.status = 200, .headers = {}, .body = ""}));
  });
  RawClient slow(server->port(), authority.pem.certificate_pem, 4096);
  slow.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  auto writer = writers.take();
  ASSERT_TRUE(writer);

  // It never reads: the socket's buffers fill, then ours does.
  std::string piece(16 * 1024, 'x');
  EXPECT_TRUE(eventually([&] { return !writer->write(piece); }));

  EXPECT_FALSE(writer->is_open());
  EXPECT_EQ(server->figures().streams_cut_off, 1u);
  EXPECT_TRUE(eventually([&] { return server->figures().connections_now == 0; }));
}

TEST_F(Server, UsesAReloadedCertificateForNewConnections) {
  start();
  HttpClientOptions pinned = client_options();
  KeyAndCertificate fresh = authority.server();
  pinned.pinned_sha256 = *certificate_sha256(fresh.certificate_pem);
  EXPECT_FALSE(client(pinned)->send(get("/")));

  EXPECT_FALSE(server->reload_certificate("nonsense", fresh.key_pem));
  ASSERT_TRUE(server->reload_certificate(fresh.certificate_pem, fresh.key_pem));

  EXPECT_TRUE(client(pinned)->send(get("/")));
}

TEST_F(Server, StopWaitsForAnAnswerInProgress) {
  Inbox<Responder> held;
  start([&](HttpRequest request, const Peer& peer, Responder responder) {
    if (request.path == "/poll") return held.put(std::move(responder));
    echo(std::move(request), peer, std::move(responder));
  });
  auto one = client();
  Result<HttpResponse> answer = not_found("");
  std::thread asker([&] { answer = one->send(get("/poll")); });
  auto responder = held.take();
  ASSERT_TRUE(responder);
  std::thread stopper([&] { server->stop(); });

  EXPECT_TRUE(eventually([&] { return !client()->send(get("/")); }));  // the listener is closed already
  EXPECT_TRUE(responder->answer(ok("done")));
  stopper.join();
  asker.join();

  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "done");
}

TEST_F(Server, StopEndsWhatDoesNotEndByItself) {
  Inbox<Responder> held;
  options.drain_timeout = std::chrono::milliseconds(20);
  start([&](HttpRequest, const Peer&, Responder responder) { held.put(std::move(responder)); });
  auto one = client();
  std::thread asker([&] { EXPECT_FALSE(one->send(post("/", "x"))); });
  auto responder = held.take();
  ASSERT_TRUE(responder);

  server->stop();
  server.reset();

  EXPECT_FALSE(responder->answer(ok("nobody hears this")));
  asker.join();
}

TEST_F(Server, RefusesOptionsThatCannotBe) {
  start();
  HttpServerOptions wrong = options;
  wrong.port = server->port();
  EXPECT_EQ(HttpServer::start(wrong, echo).error().kind(), ErrorKind::kUnavailable);
  wrong = options;
  wrong.address = "localhost";
  EXPECT_EQ(HttpServer::start(wrong, echo).error().kind(), ErrorKind::kInvalidInput);
  wrong = options;
  wrong.key_pem = authority.server().key_pem;
  EXPECT_EQ(HttpServer::start(wrong, echo).error().kind(), ErrorKind::kInvalidInput);
  wrong = options;
  wrong.threads = 0;
  EXPECT_EQ(HttpServer::start(wrong, echo).error().kind(), ErrorKind::kInvalidInput);
  wrong = options;
  wrong.client_ca_pem = "nonsense";
  EXPECT_EQ(HttpServer::start(wrong, echo).error().kind(), ErrorKind::kInvalidInput);
}

// The client, against the same server.

TEST_F(Server, ClientRefusesAServerOfAnotherAuthority) {
  start();
  HttpClientOptions made = client_options();
  made.ca_pem = Authority(2).pem.certificate_pem;

  auto answer = client(made)->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied) << answer.error().text();
}

TEST_F(Server, ClientRefusesAServerWithAnotherName) {
  start();
  HttpClientOptions made = client_options();
  made.name = "other.example";

  auto answer = client(made)->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(answer.error().text(), HasSubstr("ostname mismatch"));
}

TEST_F(Server, ClientKnowsItsServerByThePinOfTheAuthorityOrOfTheCertificate) {
  start();
  HttpClientOptions made = client_options();
  made.ca_pem.clear();

  made.pinned_sha256 = *certificate_sha256(authority.pem.certificate_pem);
  auto by_authority = client(made)->send(get("/"));
  made.pinned_sha256 = *certificate_sha256(options.certificate_pem);
  auto by_certificate = client(made)->send(get("/"));
  made.name = "other.example";
  auto by_another_name = client(made)->send(get("/"));

  EXPECT_TRUE(by_authority) << by_authority.error().text();
  EXPECT_TRUE(by_certificate) << by_certificate.error().text();
  ASSERT_FALSE(by_another_name);
  EXPECT_THAT(by_another_name.error().text(), HasSubstr("ostname mismatch"));
}

TEST_F(Server, ClientRefusesAServerWithAnotherPin) {
  start();
  HttpClientOptions made = client_options();
  made.pinned_sha256 = std::string(64, 'a');

  auto answer = client(made)->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(answer.error().text(), HasSubstr("pinned digest"));
}

TEST_F(Server, ClientRefusesAForgedServerThatShowsThePinnedCertificate) {
  // A server that sends the pinned authority's certificate along, without being signed by it.
  Authority other(2);
  KeyAndCertificate forged = other.server();
  HttpServerOptions evil;
  evil.certificate_pem = forged.certificate_pem.substr(0, forged.certificate_pem.size() - other.pem.certificate_pem.size()) +
                         authority.pem.certificate_pem;
  evil.key_pem = forged.key_pem;
  server = HttpServer::start(evil, echo).value();
  HttpClientOptions made = client_options();
  made.pinned_sha256 = *certificate_sha256(authority.pem.certificate_pem);

  auto answer = client(made)->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied) << answer.error().text();
}

TEST_F(Server, ClientRefusesAnExpiredServer) {
  KeyAndCertificate old = authority.ca
                              .issue_server({{}, {"127.0.0.1"}}, wall_now() - std::chrono::hours(48), std::chrono::hours(1),
                                            authority.random)
                              .value();
  HttpServerOptions late;
  late.certificate_pem = old.certificate_pem;
  late.key_pem = old.key_pem;
  server = HttpServer::start(late, echo).value();

  auto answer = client()->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(answer.error().text(), HasSubstr("expired"));
}

TEST_F(Server, ClientSaysThatNobodyListens) {
  start();
  auto one = client();
  server->stop();

  auto answer = one->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(answer.error().text(), HasSubstr("refused"));
}

TEST_F(Server, ClientConnectsAgainAfterARestart) {
  start();
  auto one = client();
  ASSERT_TRUE(one->send(get("/")));
  options.port = server->port();
  server.reset();
  EXPECT_FALSE(one->send(get("/")));

  start();

  auto answer = one->send(post("/", "again"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "POST / by nobody: again");
}

TEST_F(Server, ClientGivesUpAfterItsTimeout) {
  Inbox<Responder> held;
  start([&](HttpRequest, const Peer&, Responder responder) { held.put(std::move(responder)); });
  HttpClientOptions made = client_options();
  made.request_timeout = std::chrono::milliseconds(50);

  auto answer = client(made)->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(answer.error().text(), HasSubstr("took too long"));
  EXPECT_TRUE(held.take());  // the handler is done with it before it goes out of scope
}

TEST_F(Server, ClientIsCancelledInALongPollAndGoesOnAfterResume) {
  Inbox<Responder> held;
  start([&](HttpRequest request, const Peer& peer, Responder responder) {
    if (request.path == "/poll") return held.put(std::move(responder));
    echo(std::move(request), peer, std::move(responder));
  });
  auto one = client();
  Result<HttpResponse> answer = not_found("");
  std::thread asker([&] { answer = one->send(get("/poll")); });
  auto responder = held.take();
  ASSERT_TRUE(responder);

  one->cancel();
  asker.join();

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().text(), "cancelled");
  EXPECT_FALSE(one->send(get("/")));
  one->resume();
  EXPECT_TRUE(one->send(get("/")));
}

TEST_F(Server, ClientRefusesAnAnswerAboveItsLimit) {
  start([](HttpRequest, const Peer&, Responder responder) { responder.answer(ok(std::string(1001, 'x'))); });
  HttpClientOptions made = client_options();
  made.body_bytes_max = 1000;

  auto answer = client(made)->send(get("/"));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kExhausted);
}

TEST_F(Server, ClientStreamGivesAProblemAsError) {
  start([](HttpRequest, const Peer&, Responder responder) { responder.answer(problem(denied("not for you"))); });

  auto streamed = client()->stream(get("/events"), [](std::string_view) { return true; });

  ASSERT_FALSE(streamed);
  EXPECT_EQ(streamed.error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(streamed.error().text(), "not for you");
}

TEST_F(Server, ClientStreamEndsAfterSilence) {
  Inbox<StreamWriter> writers;
  start([&](HttpRequest, const Peer&, Responder responder) {
    writers.put(responder.start_stream({.status = 200, .headers = {}, .body = "x"}));
  });
  HttpClientOptions made = client_options();
  made.stream_idle_timeout = std::chrono::milliseconds(50);

  auto streamed = client(made)->stream(get("/"), [](std::string_view) { return true; });

  ASSERT_FALSE(streamed);
  EXPECT_EQ(streamed.error().kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(writers.take());  // the handler is done with it before it goes out of scope
}

TEST_F(Server, ClientUsesARenewedCertificate) {
  start();
  auto one = client(authority.client("old"));
  ASSERT_EQ(one->send(get("/"))->body, "GET / by old: ");
  KeyAndCertificate fresh = authority.client("new");

  ASSERT_TRUE(one->use_certificate(fresh.certificate_pem, fresh.key_pem));

  EXPECT_EQ(one->send(get("/"))->body, "GET / by new: ");
  EXPECT_FALSE(one->use_certificate(fresh.certificate_pem, make_host_key()->key_pem));
  EXPECT_EQ(one->send(get("/"))->body, "GET / by new: ");
}

TEST(HttpClient, RefusesOptionsThatCannotBe) {
  EXPECT_FALSE(HttpClient::make({}));
  HttpClientOptions made;
  made.host = "127.0.0.1";
  made.port = 1;
  EXPECT_FALSE(HttpClient::make(made));
  made.pinned_sha256 = "abc";
  EXPECT_FALSE(HttpClient::make(made));
}

}  // namespace
}  // namespace prunella
