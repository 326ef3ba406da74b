#include "store_postgres/conninfo.h"

#include <gtest/gtest.h>

#include "store_postgres/failure.h"

namespace spool::postgres {
namespace {

Error refusal_of(std::string_view url) {
  try {
    const Conninfo conninfo(url);
  } catch (const StoreError& e) {
    return e.error;
  }
  return Error{Code::kInternal, "it was taken", 0};
}

void expect_refused(std::string_view url, std::string_view words) {
  const Error error = refusal_of(url);
  EXPECT_EQ(error.code, Code::kInvalidArgument) << url;
  EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("expected postgres://"), std::string::npos) << error.message;
}

TEST(ConninfoTest, AUrlIsTakenApart) {
  const Conninfo conninfo("postgres://me:ge%40heim@host:5433/db?sslmode=require&connect_timeout=3");
  EXPECT_EQ(conninfo.parameters.at("user"), "me");
  EXPECT_EQ(conninfo.parameters.at("password"), "ge@heim");
  EXPECT_EQ(conninfo.parameters.at("host"), "host");
  EXPECT_EQ(conninfo.parameters.at("port"), "5433");
  EXPECT_EQ(conninfo.parameters.at("dbname"), "db");
  EXPECT_EQ(conninfo.parameters.at("sslmode"), "require");
  EXPECT_EQ(conninfo.connect_timeout, std::chrono::seconds(3));
  EXPECT_EQ(Conninfo("postgres://me@host/d%40b?application_name=a@b").parameters.at("dbname"), "d@b");
  EXPECT_EQ(conninfo.shown, "postgres://me:***@host:5433/db?sslmode=require&connect_timeout=3");
}

TEST(ConninfoTest, WhatTheUrlSaysWinsOverTheDefaults) {
  EXPECT_EQ(Conninfo("postgres://host/db").parameters.at("application_name"), "spool");
  EXPECT_EQ(Conninfo("postgres://host/db?application_name=mine").parameters.at("application_name"), "mine");
  EXPECT_EQ(Conninfo("postgres://host/db").connect_timeout, std::chrono::seconds(10));
}

TEST(ConninfoTest, SeveralHostsAndAnIpv6AddressAreTaken) {
  EXPECT_EQ(Conninfo("postgres://a:1,b:2/db").parameters.at("port"), "1,2");
  EXPECT_EQ(Conninfo("postgresql://[::1]:5432/db").parameters.at("host"), "::1");
}

TEST(ConninfoTest, EachHostStandsForItself) {
  const auto hosts = Conninfo("postgres://me@a:1,b:2/db").hosts();
  ASSERT_EQ(hosts.size(), 2u);
  EXPECT_EQ(hosts[0].at("host") + hosts[0].at("port") + hosts[0].at("dbname"), "a1db");
  EXPECT_EQ(hosts[1].at("host") + hosts[1].at("port") + hosts[1].at("user"), "b2me");
  const auto same_port = Conninfo("postgres:///db?host=a,b&port=7").hosts();
  ASSERT_EQ(same_port.size(), 2u);
  EXPECT_EQ(same_port[1].at("host") + same_port[1].at("port"), "b7");
  EXPECT_EQ(Conninfo("postgres:///db").hosts().size(), 1u);
}

TEST(ConninfoTest, AWrongUrlIsRefusedNamingItsWrongPart) {
  expect_refused("mysql://host/db", "no URL of a PostgreSQL");
  expect_refused("postgres://host:port/db", "its port is not a number");
  expect_refused("postgres://host:99999/db", "its port is not a number");
  expect_refused("postgres://host:5432x/db", "its port is not a number");
  expect_refused("postgres://a:5432,b:0/db", "its port is not a number");
  expect_refused("postgres://[::1/db", "IPv6");
  expect_refused("postgres://host/db?sslmod=require", "invalid URI query parameter");
  expect_refused("postgres://host/d%zz", "percent-encoded");
  expect_refused("postgres://host/d%00b", "percent-encoded");
  expect_refused(std::string_view("postgres://host/d\0b", 19), "NUL");
  expect_refused("postgres://host/db?connect_timeout=soon", "connect_timeout");
  expect_refused("postgres://host/db?connect_timeout=0", "connect_timeout");
  for (const char* url :
       {"postgres://me:a@b@host/db", "postgres://me:a@b/c@host:1/db", "postgres://me:12/b@host/db",
        "postgres://me@corp:a@host/db", "postgres://host/d@b"})
    expect_refused(url, "an '@' stands in its user, password or database");
}

TEST(ConninfoTest, APasswordThatBreaksTheUrlIsNotRepeated) {
  for (const char* url : {"postgres://me:geheim%zz@host/db",
                          "postgres://me:geheim/x@host/db",
                          "postgres://me:x/geheim@host/db",
                          "postgres://me:geheim?x@host/db",
                          "postgres://me:x?geheim@host/db",
                          "postgres://me:p@geheim/w:rd@host/db",
                          "postgres://me:p@geheim@host/db",
                          "postgres://me:5/geheim@host/db",
                          "postgres://me:x?geheim=1@host/db",
                          "postgres://me:geheim#x@host/db",
                          "postgres://me:[geheim@host/db",
                          "postgres://host/db?password=geheim&port=none",
                          "postgres://host/db?sslpassword=geheim&x=1",
                          "postgres://me:geheim",
                          "postgres://me:geheim/db",
                          "postgres://host/db?PASSWORD=geheim",
                          "postgres://host/db?password=x&geheim",
                          "postgres://host/db?user=ro&pasword=geheim",
                          "postgres://host/db?foo=geheim",
                          "postgres://host/db?port=1&port=geheim"})
    EXPECT_EQ(refusal_of(url).message.find("geheim"), std::string::npos) << refusal_of(url).message;
}

TEST(ConninfoTest, APasswordIsTakenOutOfAnyMessage) {
  const Conninfo conninfo("postgres://me:geheim@host/db");
  EXPECT_EQ(conninfo.without_secret("no geheim here, geheim"), "no *** here, ***");
  EXPECT_EQ(Conninfo("postgres://host/db").without_secret("nothing to hide"), "nothing to hide");
}

}  // namespace
}  // namespace spool::postgres
