// SPDX-License-Identifier: MIT
#include "handlerwatch.h"

#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlcontext.h>
#include <QtQml/qqmlengine.h>
#include <QtTest/qtest.h>

#include <memory>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

// Emits signals to handlers in QML through a HandlerWatch.
class Emitter : public QObject
{
    Q_OBJECT
public:
    Q_INVOKABLE bool emitOuter()
    {
        return watch->call([this] { Q_EMIT outer(); });
    }
    Q_INVOKABLE bool emitInner()
    {
        return watch->call([this] { Q_EMIT inner(); });
    }
    Q_INVOKABLE void deleteWatch() { watch.reset(); }

    std::unique_ptr<HandlerWatch> watch = std::make_unique<HandlerWatch>();

Q_SIGNALS:
    void outer();
    void inner();
};

class tst_HandlerWatch : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void callReportsWhetherHandlersHaveReturned_data();
    void callReportsWhetherHandlersHaveReturned();
    void exceptionsAreNotNoticedBeforeTheStart();
    void nestedCallsHaveTheirOwnResult();
    void exceptionAfterANestedCallIsNoticed();
    void handlerMayDeleteTheWatch();

private:
    // Returns the object with these handlers of the emitter's signals.
    std::unique_ptr<QObject> create(const QByteArray &handlers);

    QQmlEngine m_engine;
    Emitter m_emitter;
};

std::unique_ptr<QObject> tst_HandlerWatch::create(const QByteArray &handlers)
{
    m_emitter.watch = std::make_unique<HandlerWatch>();
    m_engine.rootContext()->setContextProperty(u"emitter"_s, &m_emitter);
    m_engine.setOutputWarningsToStandardError(false);
    QQmlComponent component(&m_engine);
    component.setData("import QtQml\nQtObject {\nid: root\nproperty int calls: 0\nproperty bool result: false\n"
                      "property int number: 0\n"
                      "readonly property int bound: { if (number > 0) throw new Error('in a binding'); return 0 }\n"
                      "property Connections connections: Connections { target: emitter\n" +
                          handlers + "}\n}",
                      QUrl(u"qrc:/handlers.qml"_s));
    std::unique_ptr<QObject> object(component.create());
    if (!object)
        qFatal("%s", qPrintable(component.errorString()));
    return object;
}

void tst_HandlerWatch::callReportsWhetherHandlersHaveReturned_data()
{
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<bool>("returns");
    QTest::newRow("nothing") << "++root.calls"_ba << true;
    QTest::newRow("exception") << "++root.calls; throw new Error('x')"_ba << false;
    QTest::newRow("thrown string") << "++root.calls; throw 'x'"_ba << false;
    QTest::newRow("reference error") << "++root.calls; nonsense()"_ba << false;
    QTest::newRow("exception in a function") << "++root.calls; (() => { throw new Error('x') })()"_ba << false;
    QTest::newRow("caught exception") << "++root.calls; try { throw new Error('x') } catch (error) {}"_ba << true;
    QTest::newRow("exception in a binding that it triggers") << "++root.calls; ++root.number"_ba << true;
    QTest::newRow("both") << "++root.calls; ++root.number; throw new Error('x')"_ba << false;
}

void tst_HandlerWatch::callReportsWhetherHandlersHaveReturned()
{
    QFETCH(const QByteArray, body);
    QFETCH(const bool, returns);
    const auto object = create("function onOuter() { " + body + " }");
    m_emitter.watch->start(&m_engine);
    m_emitter.watch->start(&m_engine);
    QCOMPARE(m_emitter.emitOuter(), returns);
    QCOMPARE(object->property("calls").toInt(), 1);
    QVERIFY(m_emitter.emitInner()); // no handler; earlier exceptions do not count
    QCOMPARE(m_emitter.emitOuter(), returns);
}

void tst_HandlerWatch::exceptionsAreNotNoticedBeforeTheStart()
{
    const auto object = create("function onOuter() { throw new Error('x') }");
    QVERIFY(m_emitter.emitOuter());
    m_emitter.watch->start(nullptr);
    QVERIFY(m_emitter.emitOuter());
    m_emitter.watch->start(&m_engine);
    QVERIFY(!m_emitter.emitOuter());
}

void tst_HandlerWatch::nestedCallsHaveTheirOwnResult()
{
    const auto object = create("function onOuter() { root.result = emitter.emitInner(); ++root.calls }\n"
                               "function onInner() { throw new Error('x') }");
    m_emitter.watch->start(&m_engine);
    object->setProperty("result", true);
    QVERIFY(m_emitter.emitOuter());
    QCOMPARE(object->property("calls").toInt(), 1);
    QCOMPARE(object->property("result").toBool(), false);
}

void tst_HandlerWatch::exceptionAfterANestedCallIsNoticed()
{
    const auto object = create("function onOuter() { root.result = emitter.emitInner(); throw new Error('x') }\n"
                               "function onInner() { ++root.calls }");
    m_emitter.watch->start(&m_engine);
    QVERIFY(!m_emitter.emitOuter());
    QCOMPARE(object->property("calls").toInt(), 1);
    QCOMPARE(object->property("result").toBool(), true);
}

void tst_HandlerWatch::handlerMayDeleteTheWatch()
{
    const auto object = create("function onOuter() { emitter.deleteWatch() }");
    m_emitter.watch->start(&m_engine);
    QVERIFY(!m_emitter.emitOuter());
    QVERIFY(!m_emitter.watch);
}

QTEST_GUILESS_MAIN(tst_HandlerWatch)
#include "tst_handlerwatch.moc"
