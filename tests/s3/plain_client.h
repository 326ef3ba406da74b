// For tests: an HTTP client that knows nothing of S3, and what it sees through Swift's own interface.
#pragma once

#include <curl/curl.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "s3/bucket.h"

namespace spool::test {

// GETs, or PUTs if there is something to put.
inline S3Response ask(const std::string& url, const std::vector<std::string>& headers = {},
                      const std::optional<std::string>& put = {}) {
  S3Response response;
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), &curl_easy_cleanup);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &response.body);
  curl_easy_setopt(
      curl.get(), CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* into) {
        static_cast<std::string*>(into)->append(data, size);
        return size;
      });
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> list(nullptr, &curl_slist_free_all);
  for (const std::string& header : headers) list.reset(curl_slist_append(list.release(), header.c_str()));
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list.get());
  if (put) {
    curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(put->size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, put->c_str());
  }
  EXPECT_EQ(curl_easy_perform(curl.get()), CURLE_OK);
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  response.status = static_cast<int>(status);
  return response;
}

// What Swift keeps of uploads in parts whose keys begin so, in its own words: a line for each upload and each
// part. Nothing on Ceph, which has no other interface to ask.
inline std::string parts_kept(const std::string& prefix) {
  if (is_ceph()) return "";
  const S3Response kept =
      ask(fmt::format("{}/{}%2Bsegments?prefix={}", service()["storage_url"].get<std::string>(),
                      service()["bucket"].get<std::string>(), prefix),
          {"X-Auth-Token: " + service()["token"].get<std::string>()});
  return kept.status == 200 ? kept.body : "";
}

}  // namespace spool::test
