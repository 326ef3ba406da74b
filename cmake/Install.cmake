# libspool for programs that bring kinds of their own: find_package(Spool), link Spool::spool.
include(CMakePackageConfigHelpers)

get_property(modules GLOBAL PROPERTY SPOOL_MODULES)
add_library(spool_all INTERFACE)
set_target_properties(spool_all PROPERTIES EXPORT_NAME spool)
add_library(Spool::spool ALIAS spool_all)
target_link_libraries(spool_all INTERFACE ${modules})

install(TARGETS spool_all ${modules} EXPORT SpoolTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS spool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT SpoolTargets NAMESPACE Spool:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Spool)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/spool FILES_MATCHING PATTERN "*.h")
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/SpoolConfig.cmake.in ${CMAKE_BINARY_DIR}/SpoolConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Spool)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/SpoolConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/SpoolConfig.cmake ${CMAKE_BINARY_DIR}/SpoolConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Spool)
