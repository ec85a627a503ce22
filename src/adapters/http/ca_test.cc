#include "adapters/http/ca.h"

#include <gtest/gtest.h>

#include "adapters/http/testing.h"

namespace prunella {
namespace {

using testing_http::Authority;
using testing_http::SeededRandom;

Instant at(const char* text) { return parse_rfc3339(text).value(); }

TEST(MakeAuthority, IsValidFromALittleBeforeNow) {
  SeededRandom random(7);
  Instant now = at("2026-11-24T03:00:00Z");

  auto made = make_authority("Prunella CA", now, std::chrono::hours(1), random);
  ASSERT_TRUE(made) << made.error().text();
  auto info = parse_certificate(made->certificate_pem);

  ASSERT_TRUE(info) << info.error().text();
  EXPECT_EQ(info->common_name, "Prunella CA");
  EXPECT_EQ(info->not_before, now - kBackdating);
  EXPECT_EQ(info->not_after, now + std::chrono::hours(1));
  EXPECT_EQ(info->sha256.size(), 64u);
  EXPECT_EQ(info->serial.size(), 32u);
}

TEST(MakeAuthority, ReachesBeyondTheYear2050) {
  SeededRandom random(7);

  auto made = make_authority("CA", at("2049-06-01T00:00:00Z"), kAuthorityLifetime, random);

  ASSERT_TRUE(made);
  EXPECT_EQ(parse_certificate(made->certificate_pem)->not_after, at("2059-05-30T00:00:00Z"));
}

TEST(MakeAuthority, RefusesNamesAndLifetimesThatCannotBe) {
  SeededRandom random(7);

  EXPECT_FALSE(make_authority("", at("2026-01-01T00:00:00Z"), kAuthorityLifetime, random));
  EXPECT_FALSE(make_authority(std::string(65, 'x'), at("2026-01-01T00:00:00Z"), kAuthorityLifetime, random));
  EXPECT_FALSE(make_authority("CA", at("2026-01-01T00:00:00Z"), Duration(0), random));
}

TEST(Load, RefusesAKeyOfAnotherCertificate) {
  Authority one(1), two(2);

  auto mixed = CertificateAuthority::load({one.pem.key_pem, two.pem.certificate_pem});

  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().kind(), ErrorKind::kInvalidInput);
}

TEST(Load, RefusesACertificateThatIsNoAuthority) {
  Authority authority;
  KeyAndCertificate server = authority.server();

  EXPECT_FALSE(CertificateAuthority::load(server));
}

TEST(IssueClient, NamesTheHostAsTheServerSaysAndNotAsTheRequestDoes) {
  Authority authority;
  KeyAndRequest host = make_host_key().value();
  Instant now = testing_http::wall_now();

  auto issued = authority.ca.issue_client(host.request_pem, "web-1-3f9a", now, kHostLifetime, authority.random);

  ASSERT_TRUE(issued) << issued.error().text();
  EXPECT_EQ(parse_certificate(*issued)->common_name, "web-1-3f9a");
}

TEST(IssueClient, GivesEachCertificateItsOwnSerialNumber) {
  Authority authority;
  KeyAndRequest host = make_host_key().value();
  Instant now = testing_http::wall_now();

  auto one = authority.ca.issue_client(host.request_pem, "a", now, kHostLifetime, authority.random);
  auto two = authority.ca.issue_client(host.request_pem, "a", now, kHostLifetime, authority.random);

  EXPECT_NE(parse_certificate(*one)->serial, parse_certificate(*two)->serial);
}

TEST(IssueClient, RefusesNamesThatAreNone) {
  Authority authority;
  KeyAndRequest host = make_host_key().value();

  for (const char* name : {"", "a b", "../x", "a\nb", "-a"}) {
    auto issued = authority.ca.issue_client(host.request_pem, name, testing_http::wall_now(), kHostLifetime, authority.random);
    ASSERT_FALSE(issued) << name;
    EXPECT_EQ(issued.error().kind(), ErrorKind::kInvalidInput);
  }
}

TEST(IssueClient, RefusesToOutliveTheAuthority) {
  Authority authority;
  KeyAndRequest host = make_host_key().value();

  auto issued = authority.ca.issue_client(host.request_pem, "a", testing_http::wall_now(), kAuthorityLifetime + Duration(1000),
                                          authority.random);

  ASSERT_FALSE(issued);
  EXPECT_NE(issued.error().text().find("outlive"), std::string::npos);
}

TEST(CheckRequest, TakesOursAndRefusesDamage) {
  KeyAndRequest host = make_host_key().value();
  ASSERT_TRUE(check_request(host.request_pem));

  EXPECT_FALSE(check_request(""));
  EXPECT_FALSE(check_request("not PEM"));
  EXPECT_FALSE(check_request(host.key_pem));
  EXPECT_FALSE(check_request(std::string(100'000, 'x')));
}

TEST(CheckRequest, RefusesASignatureByAnotherKey) {
  // The last bytes of the DER are the signature's: another character there is another signature.
  std::string pem = make_host_key().value().request_pem;
  std::size_t end = pem.rfind("\n-----END");
  std::size_t place = end - 6;
  pem[place] = pem[place] == 'A' ? 'B' : 'A';

  auto checked = check_request(pem);

  ASSERT_FALSE(checked);
  EXPECT_TRUE(checked.error().kind() == ErrorKind::kDenied || checked.error().kind() == ErrorKind::kInvalidInput);
}

TEST(MakeRequest, UsesTheKeyThatExists) {
  KeyAndRequest host = make_host_key().value();

  auto again = make_request(host.key_pem);

  ASSERT_TRUE(again);
  EXPECT_EQ(again->key_pem, host.key_pem);
  EXPECT_TRUE(check_request(again->request_pem));
}

TEST(IssueServer, RefusesNamesThatAreNone) {
  Authority authority;
  Instant now = testing_http::wall_now();

  EXPECT_FALSE(authority.ca.issue_server({{}, {}}, now, kHostLifetime, authority.random));
  EXPECT_FALSE(authority.ca.issue_server({{"a b"}, {}}, now, kHostLifetime, authority.random));
  EXPECT_FALSE(authority.ca.issue_server({{"a..b"}, {}}, now, kHostLifetime, authority.random));
  EXPECT_FALSE(authority.ca.issue_server({{}, {"1.2.3"}}, now, kHostLifetime, authority.random));
  EXPECT_TRUE(authority.ca.issue_server({{"a.example"}, {"fd00::1"}}, now, kHostLifetime, authority.random));
}

TEST(ParseCertificate, RefusesWhatIsNone) {
  Authority authority;

  EXPECT_FALSE(parse_certificate(""));
  EXPECT_FALSE(parse_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  EXPECT_FALSE(parse_certificate(authority.pem.key_pem));
  EXPECT_FALSE(certificate_sha256("x"));
}

TEST(CertificateSha256, IsThatOfTheFirstCertificate) {
  Authority authority;
  KeyAndCertificate server = authority.server();

  EXPECT_EQ(*certificate_sha256(server.certificate_pem), parse_certificate(server.certificate_pem)->sha256);
  EXPECT_NE(*certificate_sha256(server.certificate_pem), *certificate_sha256(authority.pem.certificate_pem));
}

}  // namespace
}  // namespace prunella
