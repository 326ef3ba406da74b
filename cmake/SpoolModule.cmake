# spool_module(NAME [MODULES other...] [LINKS targets...] [PRIVATE_LINKS targets...] [TEST_SERVERS servers...])
#
# A module is a folder src/NAME: every .cpp below it is compiled into libspool_NAME.a, every *_test.cpp
# into NAME_test.
# Numbered src/NAME/migrations/*.sql become {"file", R"sql(...)sql"}, lines in a generated migrations.inc.
function(spool_embed_migrations name)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/migrations/*.sql)
  list(SORT files)
  set(lines "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(title ${file} NAME)
    file(READ ${file} sql)
    string(APPEND lines "{\"${title}\", R\"sql(${sql})sql\"},\n")
  endforeach()
  if(files)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}/migrations.inc CONTENT "@lines@" @ONLY)
    target_include_directories(spool_${name} PRIVATE ${CMAKE_BINARY_DIR}/generated/${name})
  endif()
endfunction()

function(spool_module name)
  cmake_parse_arguments(ARG "" "" "MODULES;LINKS;PRIVATE_LINKS;TEST_SERVERS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  if(sources)
    add_library(spool_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(spool_${name} INTERFACE)
    set(scope INTERFACE)
    set(ARG_LINKS ${ARG_LINKS} ${ARG_PRIVATE_LINKS})
    set(ARG_PRIVATE_LINKS "")
  endif()
  add_library(Spool::${name} ALIAS spool_${name})
  set_target_properties(spool_${name} PROPERTIES EXPORT_NAME ${name})
  list(TRANSFORM ARG_MODULES PREPEND spool_)
  target_link_libraries(spool_${name} ${scope} ${ARG_MODULES} ${ARG_LINKS})
  target_include_directories(spool_${name} ${scope}
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/spool>)
  target_compile_features(spool_${name} ${scope} cxx_std_20)
  if(sources)
    target_link_libraries(spool_${name} PRIVATE ${ARG_PRIVATE_LINKS})
    target_precompile_headers(spool_${name} PRIVATE
      <nlohmann/json.hpp> <fmt/format.h> <tl/expected.hpp> <chrono> <functional> <string> <vector> <optional>)
    spool_embed_migrations(${name})
  endif()
  set_property(GLOBAL APPEND PROPERTY SPOOL_MODULES spool_${name})

  if(tests AND SPOOL_TESTS)
    spool_test(${name}_test SOURCES ${tests} LINKS spool_${name} ${ARG_PRIVATE_LINKS} SERVERS ${ARG_TEST_SERVERS})
  endif()
endfunction()

# spool_test(NAME SOURCES files... LINKS targets... [LABELS labels...] [SERVERS servers...] [TIMEOUT seconds] [SERIAL])
#
# One gtest program; each of its tests is a ctest test, named NAME.Suite.Test. Under a sanitizer, which makes a process slow to
# start, its tests run in four processes instead, NAME.part1 to NAME.part4 (GTEST_FILTER chooses among them). SERIAL for those that measure
# the machine or take all of it. SERVERS run meanwhile (tests/servers).
function(spool_test name)
  cmake_parse_arguments(ARG "SERIAL" "TIMEOUT" "SOURCES;LINKS;LABELS;SERVERS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests
    ${CMAKE_BINARY_DIR}/generated/tests)
  target_precompile_headers(${name} PRIVATE <gtest/gtest.h> <nlohmann/json.hpp> <fmt/format.h>)
  set(props TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LABELS)
    list(APPEND props LABELS "${ARG_LABELS}")
  endif()
  if(ARG_SERVERS)
    list(APPEND props FIXTURES_REQUIRED "${ARG_SERVERS}")
  endif()
  if(ARG_SERIAL)
    list(APPEND props RUN_SERIAL ON)
  endif()
  if(NOT SPOOL_SANITIZE)
    gtest_discover_tests(${name} TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES ${props})
    return()
  endif()
  foreach(part RANGE 1 4)
    math(EXPR index "${part} - 1")
    add_test(NAME ${name}.part${part} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${name}.part${part} PROPERTIES ${props} TIMEOUT 1200
      ENVIRONMENT "GTEST_TOTAL_SHARDS=4;GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# Where things are, for the few tests that include it: as a definition for all it would keep a compiler's cache from finding
# anything in another folder.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/tests/test_paths.h CONTENT [[
#pragma once
#define SPOOL_SOURCE_DIR "@CMAKE_SOURCE_DIR@"
#define SPOOL_BINARY_DIR "@CMAKE_BINARY_DIR@"
]] @ONLY)
