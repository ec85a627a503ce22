#include "observe/dbus_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "observe/systemd_bus.h"

namespace prunella {
namespace {

using ::testing::HasSubstr;

DbusMessage call() {
  DbusMessage message;
  message.serial = 3;
  message.path = "/org/freedesktop/systemd1";
  message.interface = "org.freedesktop.systemd1.Manager";
  message.member = "RestartUnit";
  message.signature = "ss";
  DbusWriter body;
  body.text("web.service");
  body.text("replace");
  message.body = body.take();
  return message;
}

TEST(DbusMessage, IsReadAsItWasWritten) {
  std::string bytes = to_bytes(call()) + to_bytes(call());
  std::size_t at = 0;

  auto first = take_dbus_message(bytes, at);
  std::size_t middle = at;
  auto second = take_dbus_message(bytes, at);
  auto none = take_dbus_message(bytes, at);

  ASSERT_TRUE(first && *first && second && *second && none);
  EXPECT_EQ(**first, call());
  EXPECT_EQ(middle * 2, bytes.size());
  EXPECT_EQ(*none, std::nullopt);
  DbusReader body((*first)->body);
  EXPECT_EQ(body.text(), "web.service");
  EXPECT_EQ(body.text(), "replace");
  EXPECT_TRUE(body.ok() && body.at_end());
}

TEST(DbusMessage, WaitsForTheRestWhereverItIsCut) {
  std::string bytes = to_bytes(call());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::size_t at = 0;
    auto message = take_dbus_message(std::string_view(bytes).substr(0, size), at);
    ASSERT_TRUE(message) << size;
    EXPECT_EQ(*message, std::nullopt) << size;
    EXPECT_EQ(at, 0u);
  }
}

TEST(DbusMessage, RefusesWhatIsNoneOfThisProtocolAndSaysWhatItIs) {
  auto refused = [](std::size_t place, char byte) {
    std::string bytes = to_bytes(call());
    bytes[place] = byte;
    std::size_t at = 0;
    auto message = take_dbus_message(bytes, at);
    EXPECT_FALSE(message);
    return message ? std::string() : message.error().text();
  };
  EXPECT_THAT(refused(0, 'B'), HasSubstr("66"));
  EXPECT_THAT(refused(1, 9), HasSubstr("type 9"));
  EXPECT_THAT(refused(3, 2), HasSubstr("version 2"));
  EXPECT_THAT(refused(8, 0), HasSubstr("serial 0"));
  EXPECT_THAT(refused(7, 127), HasSubstr("at most 16777216"));
  EXPECT_THAT(refused(16, 99), HasSubstr("isn't known"));
  EXPECT_THAT(refused(18, 's'), HasSubstr("can't be read"));
}

TEST(DbusReader, StopsAtTheFirstValueThatIsNotThere) {
  DbusWriter writer;
  writer.texts({"a", "bc"});
  std::string bytes = writer.take();
  DbusReader whole(bytes);
  DbusReader texts(whole.array(4));
  EXPECT_EQ(texts.text(), "a");
  EXPECT_EQ(texts.text(), "bc");
  EXPECT_TRUE(texts.at_end() && whole.at_end() && whole.ok());
  EXPECT_EQ(texts.text(), "");
  EXPECT_FALSE(texts.ok());

  DbusReader cut(std::string_view(bytes).substr(0, bytes.size() - 1));
  EXPECT_EQ(cut.array(4), "");
  EXPECT_EQ(cut.u32(), 0u);
  EXPECT_FALSE(cut.ok());
}

TEST(SystemdBus, TakesTheResultOfThisJobOnly) {
  DbusMessage removed;
  removed.kind = DbusKind::kSignal;
  removed.member = "JobRemoved";
  removed.signature = "uoss";
  DbusWriter body;
  body.u32(7);
  body.text("/org/freedesktop/systemd1/job/7");
  body.text("web.service");
  body.text("failed");
  removed.body = body.take();

  EXPECT_EQ(job_result(removed, "/org/freedesktop/systemd1/job/7"), "failed");
  EXPECT_EQ(job_result(removed, "/org/freedesktop/systemd1/job/70"), std::nullopt);
  removed.kind = DbusKind::kReturn;
  EXPECT_EQ(job_result(removed, "/org/freedesktop/systemd1/job/7"), std::nullopt);
}

TEST(SystemdBus, RefusesAListOfAnotherType) {
  DbusMessage answer;
  answer.signature = "a(ss)";
  auto units = parse_unit_list(answer);
  ASSERT_FALSE(units);
  EXPECT_THAT(units.error().text(), HasSubstr("'a(ss)'"));
  answer.signature = "a(ssssssouso)";
  answer.body = std::string("\x08\0\0\0\0\0\0\0\x05\0\0\0abcd", 16);
  EXPECT_FALSE(parse_unit_list(answer));
}

}  // namespace
}  // namespace prunella
