# SPDX-License-Identifier: MIT
#
# The QML module: each tst_*.qml is a test with Qt Quick Test, against a real broker.

if(NOT AMQPQT_BUILD_QML)
    return()
endif()
find_package(Qt6 6.4 REQUIRED COMPONENTS QuickTest)
set(qml_import_path ${PROJECT_BINARY_DIR}/qml)

add_executable(quicktest qml/quicktest.cpp)
set_target_properties(quicktest PROPERTIES AUTOMOC ON)
target_link_libraries(quicktest PRIVATE Qt6::QuickTest Qt6::Qml amqpqt_brokerfixture amqpqt_build_flags)
target_include_directories(quicktest PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(quicktest PRIVATE AMQPQT_QML_IMPORT_PATH="${qml_import_path}"
                                             QUICK_TEST_SOURCE_DIR="${CMAKE_CURRENT_LIST_DIR}")
add_dependencies(quicktest amqpqtplugin)

file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/tst_*.qml)
foreach(file IN LISTS tests)
    cmake_path(GET file STEM name)
    add_test(NAME ${name} COMMAND quicktest -input ${file})
    set_tests_properties(${name} PROPERTIES LABELS qml TIMEOUT 120 RESOURCE_LOCK broker
        ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
endforeach()
