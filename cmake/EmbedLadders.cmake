# The ladders of ladders/*.yaml as strings in the program, so that it needs no files beside it.
file(GLOB ladders CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/ladders/*.yaml)
set(entries "")
foreach(path ${ladders})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} text)
  string(APPEND entries "      {\"${name}\", R\"ladder(${text})ladder\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded_ladders.cpp @ONLY CONTENT
"#include \"pipeline/ladders.h\"

namespace spool::pipeline {

const std::vector<EmbeddedLadder>& embedded_ladders() {
  static const std::vector<EmbeddedLadder> ladders{
@entries@  };
  return ladders;
}

}  // namespace spool::pipeline
")
target_sources(spool_pipeline PRIVATE ${CMAKE_BINARY_DIR}/embedded_ladders.cpp)
