# SPDX-License-Identifier: MIT
#
# Compiles the C++ blocks of README.md and docs/*.md: those with a main() as programs, the others as functions of a QObject
# that are given `connection` and `channel`. Those of the page about views are functions of a QWidget, with a model and a few
# controls.

file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/docs/*.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
set(folder ${CMAKE_CURRENT_BINARY_DIR}/snippets)
set(begin_mark "\n```cpp\n")
set(end_mark "\n```\n")
string(LENGTH "${begin_mark}" begin_length)

add_library(snippets OBJECT)
set_target_properties(snippets PROPERTIES CXX_STANDARD 17)
target_link_libraries(snippets PRIVATE AmqpQt::AmqpQt)
find_package(Qt6 6.4 COMPONENTS Widgets QUIET)
if(Qt6Widgets_FOUND)
    target_link_libraries(snippets PRIVATE Qt6::Widgets)
endif()

foreach(page IN LISTS pages)
    cmake_path(GET page STEM name)
    file(READ ${page} text)
    set(number 0)
    set(functions "")
    string(FIND "${text}" "${begin_mark}" begin)
    while(NOT begin EQUAL -1)
        math(EXPR begin "${begin} + ${begin_length}")
        string(SUBSTRING "${text}" ${begin} -1 text)
        string(FIND "${text}" "${end_mark}" end)
        string(SUBSTRING "${text}" 0 ${end} code)
        string(SUBSTRING "${text}" ${end} -1 text)
        math(EXPR number "${number} + 1")
        if(code MATCHES "int main\\(")
            file(CONFIGURE OUTPUT ${folder}/${name}-${number}.cpp CONTENT "${code}\n" @ONLY)
            add_executable(snippet_${name}_${number} ${folder}/${name}-${number}.cpp)
            set_target_properties(snippet_${name}_${number} PROPERTIES CXX_STANDARD 17)
            target_link_libraries(snippet_${name}_${number} PRIVATE AmqpQt::AmqpQt amqpqt_build_flags)
        else()
            string(APPEND functions
                "void snippet${number}(AmqpQt::Connection *connection, AmqpQt::Channel *channel)\n{\n${code}\n}\n\n")
        endif()
        string(FIND "${text}" "${begin_mark}" begin)
    endwhile()
    set(includes "")
    set(base QObject)
    set(members "")
    if(name STREQUAL "showing-messages")
        if(NOT Qt6Widgets_FOUND)
            continue()
        endif()
        set(includes "#include <AmqpQt/MessageModel>\n#include <QtWidgets/QtWidgets>")
        set(base QWidget)
        set(members "AmqpQt::MessageModel *model;\nQPushButton *pauseButton, *clearButton;\nQLineEdit *filterField;")
    endif()
    if(functions)
        file(CONFIGURE OUTPUT ${folder}/${name}.cpp @ONLY CONTENT
"#include <AmqpQt/AmqpQt>
${includes}
#include <QtCore/QCryptographicHash>
#include <QtCore/QDebug>
#include <QtCore/QJsonDocument>
#include <QtCore/QJsonObject>
#include <QtCore/QThread>
#include <QtCore/QTimer>
#include <QtNetwork/QLocalSocket>
#include <QtNetwork/QNetworkAccessManager>
#include <QtNetwork/QNetworkProxy>
#include <QtNetwork/QNetworkReply>

using namespace Qt::StringLiterals;

class Page : public ${base}
{
public:
${members}
${functions}};
")
        target_sources(snippets PRIVATE ${folder}/${name}.cpp)
    endif()
endforeach()
