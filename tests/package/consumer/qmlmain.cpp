// SPDX-License-Identifier: MIT
#include <AmqpQt/Connection>

#include <QtGui/QGuiApplication>
#include <QtQml/QQmlComponent>
#include <QtQml/QQmlEngine>

#include <memory>

// Loads the installed QML module. A Connection created in QML is a C++ Connection, since both use the same library.
int main(int argc, char *argv[])
{
    QGuiApplication application(argc, argv);
    QQmlEngine engine;
    engine.addImportPath(QStringLiteral(QML_IMPORT_PATH));
    QQmlComponent component(&engine);
    component.setData(R"(
        import QtQuick
        import AmqpQt
        Item {
            property Connection broker: Connection {
                url: "amqp://u:p@broker.example/%2F"
                Queue { name: "orders"; QueueBinding { exchangeName: "amq.topic"; routingKey: "#" } }
            }
            StateBadge { connection: parent.broker }
        })",
                      QUrl(QStringLiteral("qrc:/main.qml")));
    const std::unique_ptr<QObject> item(component.create());
    if (!item) {
        qCritical() << component.errors();
        return 1;
    }
    const auto *connection = item->property("broker").value<AmqpQt::Connection *>();
    return connection && connection->parameters().userName() == QLatin1String("u") ? 0 : 2;
}
