# SPDX-License-Identifier: MIT
#
# The tests of the QML module. Each tst_*.qml is a Qt Quick Test that uses a real broker.

if(NOT AMQPQT_BUILD_QML)
    return()
endif()
find_package(Qt6 6.4 REQUIRED COMPONENTS QuickTest)
set(qml_import_path ${PROJECT_BINARY_DIR}/qml)

# A program that runs the tests of a folder with Qt Quick Test.
function(amqpqt_quicktest name folder)
    add_executable(${name} qml/quicktest.cpp support/delayproxy.h)
    set_target_properties(${name} PROPERTIES AUTOMOC ON)
    target_link_libraries(${name} PRIVATE ${ARGN} AmqpQt::AmqpQt Qt6::QuickTest Qt6::Qml Qt6::Network amqpqt_brokerfixture
        amqpqt_certificates amqpqt_faultproxy amqpqt_build_flags)
    target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_compile_definitions(${name} PRIVATE AMQPQT_QML_IMPORT_PATH="${qml_import_path}" QUICK_TEST_SOURCE_DIR="${folder}")
    add_dependencies(${name} amqpqtplugin)
endfunction()

amqpqt_quicktest(quicktest ${CMAKE_CURRENT_LIST_DIR})
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/tst_*.qml)
foreach(file IN LISTS tests)
    cmake_path(GET file STEM name)
    add_test(NAME ${name} COMMAND quicktest -input ${file})
    set_tests_properties(${name} PROPERTIES LABELS qml TIMEOUT 120 RESOURCE_LOCK broker
        ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
endforeach()

foreach(test tst_engines tst_elementdeletion)
    amqpqt_test(qml ${test} LIBRARIES AmqpQt::AmqpQt Qt6::Gui Qt6::Qml amqpqt_brokerfixture)
    target_compile_definitions(${test} PRIVATE AMQPQT_QML_IMPORT_PATH="${qml_import_path}")
    set_tests_properties(${test} PROPERTIES RESOURCE_LOCK broker
        ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
    add_dependencies(${test} amqpqtplugin)
endforeach()

amqpqt_test(qml tst_handlerwatch SOURCES ${PROJECT_SOURCE_DIR}/qml/internal/handlerwatch.cpp LIBRARIES Qt6::Qml)
target_include_directories(tst_handlerwatch PRIVATE ${PROJECT_SOURCE_DIR}/qml/internal)

amqpqt_test(qml tst_declarationqueue SOURCES ${PROJECT_SOURCE_DIR}/qml/internal/declarationqueue.cpp
    LAYERS base wire engine transport client LIBRARIES amqpqt_memorytransport amqpqt_clienttests amqpqt_scriptedpeer)
target_include_directories(tst_declarationqueue PRIVATE ${PROJECT_SOURCE_DIR}/qml/internal ${PROJECT_SOURCE_DIR}/qml/elements)

# Compares the results of qmlcachegen and of the interpreter for the properties of all types.
amqpqt_test(qml tst_compiled LIBRARIES AmqpQt::AmqpQt Qt6::Gui Qt6::Qml amqpqt_brokerfixture amqpqt_certificates)
set_source_files_properties(qml/compiled/Everything.qml PROPERTIES QT_RESOURCE_ALIAS Everything.qml)
qt_add_qml_module(tst_compiled URI Compiled VERSION 1.0 RESOURCE_PREFIX / IMPORT_PATH ${qml_import_path}
    OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/Compiled QML_FILES qml/compiled/Everything.qml)
set(compiled_qml ${CMAKE_CURRENT_BINARY_DIR}/.rcc/qmlcache/tst_compiled_qml/compiled/Everything_qml.cpp)
set_source_files_properties(${compiled_qml} PROPERTIES COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:GNU,Clang>:-w>")
target_compile_definitions(tst_compiled PRIVATE AMQPQT_QML_IMPORT_PATH="${qml_import_path}"
    AMQPQT_COMPILED_CPP="${compiled_qml}")
add_dependencies(tst_compiled amqpqtplugin)
add_test(NAME tst_compiled_interpreted COMMAND tst_compiled)
set_tests_properties(tst_compiled tst_compiled_interpreted PROPERTIES LABELS qml TIMEOUT 600 RESOURCE_LOCK broker
    ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
set_property(TEST tst_compiled_interpreted APPEND PROPERTY ENVIRONMENT QML_DISABLE_DISK_CACHE=1)

set(dashboard_source ${PROJECT_SOURCE_DIR}/examples/dashboard)
if(TARGET example_dashboard)
    # Tests the window of the dashboard with a real broker, by key presses.
    amqpqt_quicktest(dashboardtest ${CMAKE_CURRENT_LIST_DIR}/dashboard dashboard_ui dashboard_uiplugin)
    foreach(name tst_dashboard tst_theme)
        add_test(NAME ${name} COMMAND dashboardtest -input ${CMAKE_CURRENT_LIST_DIR}/dashboard/${name}.qml)
        set_tests_properties(${name} PROPERTIES LABELS qml TIMEOUT 300 RESOURCE_LOCK broker
            ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
    endforeach()

    amqpqt_test(qml tst_windows LIBRARIES Qt6::Gui amqpqt_brokerfixture)
    target_compile_definitions(tst_windows PRIVATE AMQPQT_DASHBOARD="$<TARGET_FILE:example_dashboard>"
                                                   AMQPQT_SENSORS="$<TARGET_FILE:example_sensors>")
    add_dependencies(tst_windows example_dashboard example_sensors)
    if(TARGET example_monitor)
        target_compile_definitions(tst_windows PRIVATE AMQPQT_MONITOR="$<TARGET_FILE:example_monitor>")
        add_dependencies(tst_windows example_monitor)
    endif()
    set_tests_properties(tst_windows PROPERTIES RESOURCE_LOCK broker
        ENVIRONMENT "QT_QPA_PLATFORM=offscreen;QT_QUICK_BACKEND=software")
endif()

# Runs qmllint on the module's own QML, the examples and the pages.
find_program(AMQPQT_QMLLINT NAMES qmllint qmllint6 HINTS "${QT6_INSTALL_PREFIX}/${QT6_INSTALL_BINS}" /usr/lib/qt6/bin
    DOC "Qt's tool that checks QML (Debian: qt6-declarative-dev-tools)")
mark_as_advanced(AMQPQT_QMLLINT)
if(NOT AMQPQT_QMLLINT)
    message(STATUS "qmllint was not found: QML is not checked")
    return()
endif()
set(snippets ${CMAKE_CURRENT_BINARY_DIR}/qmlsnippets)
file(REMOVE_RECURSE ${snippets})
file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/docs/*.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
foreach(page IN LISTS pages)
    cmake_path(GET page STEM name)
    file(READ ${page} text)
    set(number 0)
    string(FIND "${text}" "\n```qml\n" begin)
    while(NOT begin EQUAL -1)
        math(EXPR begin "${begin} + 8")
        string(SUBSTRING "${text}" ${begin} -1 text)
        string(FIND "${text}" "\n```\n" end)
        string(SUBSTRING "${text}" 0 ${end} code)
        string(SUBSTRING "${text}" ${end} -1 text)
        math(EXPR number "${number} + 1")
        file(WRITE ${snippets}/${name}-${number}.qml "${code}\n")
        string(FIND "${text}" "\n```qml\n" begin)
    endwhile()
endforeach()
file(GLOB checked CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/qml/*.qml ${snippets}/*.qml)
if(TARGET example_dashboard) # the copy beside the qmldir file, without which Theme would not be a singleton
    file(GLOB dashboard RELATIVE ${dashboard_source} CONFIGURE_DEPENDS ${dashboard_source}/*.qml)
    list(TRANSFORM dashboard PREPEND ${PROJECT_BINARY_DIR}/examples/dashboard-build/Dashboard/)
    list(APPEND checked ${dashboard})
endif()
add_test(NAME qmllint COMMAND ${AMQPQT_QMLLINT} -I ${qml_import_path} ${checked})
set_tests_properties(qmllint PROPERTIES LABELS qml)
