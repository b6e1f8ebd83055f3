// SPDX-License-Identifier: MIT
#include "broker/brokerclient.h"

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qfile.h>
#include <QtGui/qguiapplication.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

using namespace AmqpQt::Test;

namespace
{

// Publishes to itself without end.
const QByteArray endlessFlow = R"(
    import QtQuick
    import AmqpQt
    QtObject {
        id: root
        property int count: 0
        property string url
        property Connection connection: Connection {
            id: broker
            url: root.url
            active: true
            Queue { id: queue }
            Publisher { id: publisher; routingKey: queue.declaredName; onWritableChanged: publish("first") }
            Consumer {
                id: consumer
                queue: queue
                ackMode: Amqp.AfterDelivery
                onDelivered: message => { ++root.count; publisher.publish(message.text); publisher.publish(message.text) }
            }
        }
        property MessageModel messages: MessageModel { consumer: consumer }
        property LatestValueModel latest: LatestValueModel { consumer: consumer }
        property RateHistory history: RateHistory { consumer: consumer; interval: 1 }
    })";

} // namespace

class tst_Engines : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void engineMayGoWhileMessagesFlow();
    void elementsMayBeLoadedAgainAndAgain();
    void readmeExampleRuns();

private:
    std::unique_ptr<QObject> createFlowing();

    std::unique_ptr<QQmlEngine> m_engine;
};

void tst_Engines::init()
{
    m_engine = std::make_unique<QQmlEngine>();
    m_engine->addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH));
}

std::unique_ptr<QObject> tst_Engines::createFlowing()
{
    QQmlComponent component(m_engine.get());
    component.setData(endlessFlow, QUrl(u"qrc:/system.qml"_s));
    std::unique_ptr<QObject> object(component.createWithInitialProperties({{u"url"_s, brokerUrl().toString()}}));
    if (!object) {
        qWarning() << component.errors();
        return object;
    }
    if (!waitFor([&] { return object->property("count").toInt() > 100; }))
        object.reset();
    return object;
}

void tst_Engines::engineMayGoWhileMessagesFlow()
{
    const std::unique_ptr<QObject> object = createFlowing();
    QVERIFY(object);
    const QPointer connection(object->property("connection").value<AmqpQt::Connection *>());
    QVERIFY(connection);
    m_engine.reset(); // before its objects, which live on in C++
    const quint64 bytes = connection->statistics().bytesIn;
    QVERIFY(waitFor([&] { return connection->statistics().bytesIn > bytes; }));
}

void tst_Engines::elementsMayBeLoadedAgainAndAgain()
{
    for (int i = 0; i < 3; ++i) {
        const std::unique_ptr<QObject> object = createFlowing();
        QVERIFY(object);
        m_engine->clearComponentCache();
    }
}

void tst_Engines::readmeExampleRuns()
{
    QFile readme(QStringLiteral(AMQPQT_SOURCE_DIR "/README.md"));
    QVERIFY(readme.open(QIODevice::ReadOnly));
    const QByteArray text = readme.readAll();
    const qsizetype begin = text.indexOf("\n```qml\n") + 8;
    QQmlComponent component(m_engine.get());
    component.setData(text.mid(begin, text.indexOf("\n```\n", begin) - begin), QUrl(u"qrc:/readme.qml"_s));
    const std::unique_ptr<QObject> window(component.create());
    QVERIFY2(window, qPrintable(component.errorString()));

    QObject *connection = nullptr;
    for (QObject *child : window->findChildren<QObject *>()) {
        if (qobject_cast<AmqpQt::Connection *>(child))
            connection = child;
    }
    QVERIFY(connection);
    QVERIFY(connection->setProperty("url", brokerUrl())); // instead of the local one
    const auto *model = window->findChild<QAbstractItemModel *>();
    QVERIFY(model);
    BrokerClient publisher;
    QTimer timer;
    connect(&timer, &QTimer::timeout, this,
            [&] { publisher.channel->publish(u"amq.topic"_s, u"sensor.1"_s, AmqpQt::Message::fromText(u"seen")); });
    timer.start(20);
    QVERIFY(waitFor([&] { return model->rowCount() > 0; }));
    QCOMPARE(model->index(0, 0).data().toString(), u"seen"_s);
}

QTEST_MAIN(tst_Engines)
#include "tst_engines.moc"
