// Every type of parameter and column, there and back through a real server.
#include "store_postgres/parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "store_postgres/connection.h"
#include "support/postgres_server.h"

namespace spool::postgres {
namespace {

using std::chrono::microseconds;

class ParametersTest : public testing::Test {
 protected:
  // What `sql` gives for the parameters, in its first row.
  template <class... Args>
  Rows row(const char* sql, const Args&... args) {
    Rows rows = db_.query(sql, args...);
    EXPECT_TRUE(rows.next());
    return rows;
  }
  template <class Work>
  Error refusal_of(Work&& work) {
    try {
      work();
    } catch (const StoreError& e) {
      return e.error;
    }
    return Error{Code::kInternal, "it was taken", 0};
  }

  Connection db_{Conninfo(test::PostgresServer::shared().url())};
};

TEST_F(ParametersTest, IntegersGoThereAndBack) {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{0x0102030405060708},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    Rows rows = row("SELECT $1, $1::text", value);
    EXPECT_EQ(rows.i64(0), value);
    EXPECT_EQ(rows.text(1), std::to_string(value));
  }
  for (const int value :
       {0, -1, 0x01020304, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    Rows rows = row("SELECT $1, $1::text", value);
    EXPECT_EQ(rows.i32(0), value);
    EXPECT_EQ(rows.i64(0), value);
    EXPECT_EQ(rows.text(1), std::to_string(value));
  }
  Rows small = row("SELECT (-2)::smallint");
  EXPECT_EQ(small.i64(0), -2);
}

TEST_F(ParametersTest, RealsGoThereAndBack) {
  for (const double value : {0.0, -1.5, 1e300, std::numeric_limits<double>::infinity()}) {
    Rows rows = row("SELECT $1, $1::text::float8", value);
    EXPECT_EQ(rows.real(0), value);
    EXPECT_EQ(rows.real(1), value);
  }
  Rows other = row("SELECT $1, 0.25::real", std::nan(""));
  EXPECT_TRUE(std::isnan(other.real(0)));
  EXPECT_EQ(other.real(1), 0.25);
}

TEST_F(ParametersTest, TruthGoesThereAndBack) {
  Rows rows = row("SELECT $1, $2, $1::text", true, false);
  EXPECT_TRUE(rows.boolean(0));
  EXPECT_FALSE(rows.boolean(1));
  EXPECT_EQ(rows.view(2), "true");
}

TEST_F(ParametersTest, TextsGoThereAndBack) {
  const std::string umlauts = "Größe \U0001F3AC '\"\\{},\n";
  Rows rows = row("SELECT $1, $2, $3, $4, octet_length($1)", umlauts, std::string_view(), "constant",
                  std::string(100'000, 'x'));
  EXPECT_EQ(rows.text(0), umlauts);
  EXPECT_FALSE(rows.null(1));
  EXPECT_EQ(rows.view(1), "");
  EXPECT_EQ(rows.view(2), "constant");
  EXPECT_EQ(rows.view(3).size(), 100'000u);
  EXPECT_EQ(rows.i32(4), static_cast<int>(umlauts.size()));
}

TEST_F(ParametersTest, JsonGoesThereAndBack) {
  Rows rows =
      row("SELECT $1, $1 ->> 'b', '[1]'::json, $2", Jsonb{R"({"b": "x", "a": 1})"}, std::optional<Jsonb>());
  EXPECT_EQ(rows.view(0), R"({"a": 1, "b": "x"})");
  EXPECT_EQ(rows.view(1), "x");
  EXPECT_EQ(rows.view(2), "[1]");
  EXPECT_EQ(rows.view(3), "");
}

TEST_F(ParametersTest, BytesGoThereAndBack) {
  const std::string_view bytes("\0\xff\\x", 4);
  Rows rows = row("SELECT $1, length($1)", Bytes{bytes});
  EXPECT_EQ(rows.view(0), bytes);
  EXPECT_EQ(rows.i32(1), 4);
}

TEST_F(ParametersTest, IdsAndTokensGoThereAndBack) {
  const Uuid id = Uuid::v7();
  const Token token = Token::random();
  Rows rows = row("SELECT $1, $2, $1::text", id, token);
  EXPECT_EQ(rows.uuid(0), id);
  EXPECT_EQ(rows.token(1), token);
  EXPECT_EQ(rows.text(2), id.text());
}

TEST_F(ParametersTest, TimesGoThereAndBack) {
  const Time time{microseconds(1'790'000'000'123'456)};
  Rows rows = row("SELECT $1, $2, $3, $4, $1 + $2", time, Duration(-5), std::optional<Time>(),
                  std::optional<Duration>(7));
  EXPECT_EQ(rows.time(0), time);
  EXPECT_EQ(rows.duration(1), Duration(-5));
  EXPECT_EQ(rows.maybe_time(2), std::nullopt);
  EXPECT_EQ(rows.maybe_duration(3), Duration(7));
  EXPECT_EQ(rows.time(4), time - microseconds(5));
}

TEST_F(ParametersTest, NothingReadsAsNothing) {
  Rows rows =
      row("SELECT $1, $2, $3, $4, $5, $6, $7", std::optional<int>(), std::optional<std::string>(),
          std::optional<Uuid>(), std::optional<double>(), std::optional<bool>(),
          std::optional<std::int64_t>(), std::optional<std::vector<int>>().value_or(std::vector<int>()));
  for (int at = 0; at < 6; ++at) EXPECT_TRUE(rows.null(at)) << at;
  EXPECT_EQ(rows.i32(0), 0);
  EXPECT_EQ(rows.view(1), "");
  EXPECT_TRUE(rows.uuid(2).is_nil());
  EXPECT_EQ(rows.real(3), 0);
  EXPECT_FALSE(rows.boolean(4));
  EXPECT_EQ(rows.i64(5), 0);
  EXPECT_TRUE(rows.i64s(6).empty());
}

TEST_F(ParametersTest, ArraysOfNumbersGoThere) {
  Rows rows = row("SELECT $1, $2, $3::text, $4::text, $1::text", std::vector<std::int64_t>{1, -2, 1LL << 40},
                  std::vector<int>{7, -8}, std::vector<double>{0.5, -1}, std::vector<bool>{true, false});
  EXPECT_EQ(rows.i64s(0), (std::vector<std::int64_t>{1, -2, 1LL << 40}));
  EXPECT_EQ(rows.i64s(1), (std::vector<std::int64_t>{7, -8}));
  EXPECT_EQ(rows.view(2), "{0.5,-1}");
  EXPECT_EQ(rows.view(3), "{t,f}");
  EXPECT_EQ(rows.view(4), "{1,-2,1099511627776}");
}

TEST_F(ParametersTest, ArraysOfTextsAndIdsGoThereAndBack) {
  const std::vector<std::string> texts{"", "a,b", "\"{}\\", "NULL"};
  const std::vector<Uuid> ids{Uuid::v7(), Uuid::v7()};
  const std::vector<std::string_view> views{"x", "y"};
  Rows rows = row("SELECT $1, $2, $3, $4, $5::text", texts, ids, views, std::span<const Uuid>(ids).subspan(1),
                  std::vector<Time>{Time(microseconds(3))});
  EXPECT_EQ(rows.texts(0), texts);
  EXPECT_EQ(rows.uuids(1), ids);
  EXPECT_EQ(rows.texts(2), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(rows.uuids(3), std::vector<Uuid>{ids[1]});
  EXPECT_EQ(rows.view(4), "{3}");
}

TEST_F(ParametersTest, ArraysMayHoldNothing) {
  using Texts = std::vector<std::optional<std::string>>;
  Rows rows = row("SELECT $1::text, $2::text, $3::text, $4::text, $1, coalesce(array_length($5, 1), 0)",
                  Texts{"a", std::nullopt, ""}, std::vector<std::optional<std::int64_t>>{std::nullopt, 2},
                  std::vector<std::optional<bool>>{true, std::nullopt},
                  std::vector<std::optional<Uuid>>{std::nullopt}, std::vector<std::string>());
  EXPECT_EQ(rows.view(0), "{a,NULL,\"\"}");
  EXPECT_EQ(rows.view(1), "{NULL,2}");
  EXPECT_EQ(rows.view(2), "{t,NULL}");
  EXPECT_EQ(rows.view(3), "{NULL}");
  EXPECT_EQ(rows.texts(4), (std::vector<std::string>{"a", "", ""}));
  EXPECT_EQ(rows.i32(5), 0);
}

TEST_F(ParametersTest, ColumnsOfManyRowsAreUnnestedInOrder) {
  std::vector<std::int64_t> numbers;
  std::vector<std::string> names;
  for (int i = 0; i < 5000; ++i) numbers.push_back(i), names.push_back("name " + std::to_string(i));
  Rows rows = db_.query("SELECT n, name FROM unnest($1, $2) WITH ORDINALITY AS t (n, name, at) ORDER BY at",
                        numbers, names);
  EXPECT_EQ(rows.count(), 5000);
  for (int i = 0; rows.next(); ++i) {
    ASSERT_EQ(rows.i64(0), i);
    ASSERT_EQ(rows.view(1), names[static_cast<std::size_t>(i)]);
  }
}

TEST_F(ParametersTest, ANulCharacterIsRefusedBeforeItIsSent) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(refusal_of([&] { db_.run("SELECT $1", text); }).code, Code::kInvalidArgument);
  EXPECT_EQ(refusal_of([&] {
              db_.run("SELECT $1", std::vector<std::string>{"a", text});
            }).code,
            Code::kInvalidArgument);
  const Error error = refusal_of([&] { db_.run("SELECT $1", Jsonb{text}); });
  EXPECT_NE(error.message.find("NUL"), std::string::npos) << error.message;
  EXPECT_TRUE(db_.query("SELECT 1").next());
}

TEST_F(ParametersTest, TheNulOfJsonIsRefusedByTheServer) {
  EXPECT_EQ(refusal_of([&] { db_.run("SELECT $1", Jsonb{R"({"a": "\u0000"})"}); }).code,
            Code::kInvalidArgument);
}

TEST_F(ParametersTest, InvalidUtf8IsRefused) {
  EXPECT_EQ(refusal_of([&] { db_.run("SELECT $1", "\xff\xfe"); }).code, Code::kInvalidArgument);
}

TEST_F(ParametersTest, AColumnOfAnotherTypeIsOurOwnMistake) {
  Rows rows = row("SELECT 'x'::text AS word, 1");
  const Error error = refusal_of([&] { static_cast<void>(rows.i64(0)); });
  EXPECT_EQ(error.code, Code::kInternal);
  EXPECT_NE(error.message.find("word"), std::string::npos) << error.message;
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.view(1)); }).code, Code::kInternal);
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.uuid(1)); }).code, Code::kInternal);
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.real(1)); }).code, Code::kInternal);
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.boolean(1)); }).code, Code::kInternal);
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.texts(1)); }).code, Code::kInternal);
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.i64(2)); }).code, Code::kInternal)
      << "there is no third column";
}

TEST_F(ParametersTest, AnArrayOfTwoDimensionsIsNotTaken) {
  Rows rows = row("SELECT ARRAY[[1, 2], [3, 4]]");
  EXPECT_EQ(refusal_of([&] { static_cast<void>(rows.i64s(0)); }).code, Code::kInternal);
}

}  // namespace
}  // namespace spool::postgres
