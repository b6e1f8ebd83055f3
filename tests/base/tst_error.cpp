// SPDX-License-Identifier: MIT
#include <AmqpQt/error.h>

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_Error : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaultIsNoError();
    void keepsTheValuesItWasCreatedWith();
    void differsInEachPart();
    void readsAsOneLine_data();
    void readsAsOneLine();
    void debugOutputIsEscaped();
    void errorsThatAnotherAttemptMayFixAreRecoverable_data();
    void errorsThatAnotherAttemptMayFixAreRecoverable();
    void propertiesAreReadableThroughTheMetaObject();
};

void tst_Error::defaultIsNoError()
{
    const Error error;
    QVERIFY(!error.isError());
    QVERIFY(!error.isRecoverable());
    QCOMPARE(error.kind(), ErrorKind::NoError);
    QCOMPARE(error.replyCode(), quint16(0));
    QCOMPARE(error.toString(), u"NoError"_s);
}

void tst_Error::keepsTheValuesItWasCreatedWith()
{
    const Error error(ErrorKind::ChannelClosed, u"PRECONDITION_FAILED"_s, 406, u"queue.declare"_s);
    QVERIFY(error.isError());
    QCOMPARE(error.kind(), ErrorKind::ChannelClosed);
    QCOMPARE(error.replyCode(), quint16(406));
    QCOMPARE(error.text(), u"PRECONDITION_FAILED"_s);
    QCOMPARE(error.method(), u"queue.declare"_s);
}

void tst_Error::differsInEachPart()
{
    const Error error(ErrorKind::ChannelClosed, u"text"_s, 406, u"queue.declare"_s);
    QVERIFY(error == Error(ErrorKind::ChannelClosed, u"text"_s, 406, u"queue.declare"_s));
    QVERIFY(error != Error(ErrorKind::ConnectionClosed, u"text"_s, 406, u"queue.declare"_s));
    QVERIFY(error != Error(ErrorKind::ChannelClosed, u"other"_s, 406, u"queue.declare"_s));
    QVERIFY(error != Error(ErrorKind::ChannelClosed, u"text"_s, 404, u"queue.declare"_s));
    QVERIFY(error != Error(ErrorKind::ChannelClosed, u"text"_s, 406, u"queue.delete"_s));
}

void tst_Error::readsAsOneLine_data()
{
    QTest::addColumn<Error>("error");
    QTest::addColumn<QString>("text");

    QTest::newRow("all parts") << Error(ErrorKind::ChannelClosed, u"NOT_FOUND - no queue 'x' in vhost '/'"_s, 404,
                                        u"queue.declare"_s)
                               << u"queue.declare: NOT_FOUND - no queue 'x' in vhost '/' (404, ChannelClosed)"_s;
    QTest::newRow("no method") << Error(ErrorKind::ConnectionClosed, u"CONNECTION_FORCED"_s, 320)
                               << u"CONNECTION_FORCED (320, ConnectionClosed)"_s;
    QTest::newRow("no code") << Error(ErrorKind::Timeout, u"no answer"_s, 0, u"basic.get"_s)
                             << u"basic.get: no answer (Timeout)"_s;
    QTest::newRow("kind only") << Error(ErrorKind::Cancelled, {}) << u"(Cancelled)"_s;
    QTest::newRow("method and kind") << Error(ErrorKind::Timeout, {}, 0, u"tx.commit"_s) << u"tx.commit: (Timeout)"_s;
    QTest::newRow("other scripts") << Error(ErrorKind::Network, u"очередь 队列"_s) << u"очередь 队列 (Network)"_s;
    QTest::newRow("control characters") << Error(ErrorKind::ConnectionClosed, u"a\r\nb\tc\x1b[31m\u2028\x85"_s, 541)
                                        << u"a\\r\\nb\\tc\\u001b[31m\\u2028\\u0085 (541, ConnectionClosed)"_s;
}

void tst_Error::readsAsOneLine()
{
    QFETCH(Error, error);
    QFETCH(QString, text);
    QCOMPARE(error.toString(), text);
}

void tst_Error::debugOutputIsEscaped()
{
    QString output;
    QDebug(&output) << 1 << Error(ErrorKind::ChannelClosed, u"first\nsecond"_s, 404) << 2;
    QCOMPARE(output, u"1 AmqpQt::Error(first\\nsecond (404, ChannelClosed)) 2 "_s);
}

void tst_Error::errorsThatAnotherAttemptMayFixAreRecoverable_data()
{
    QTest::addColumn<Error>("error");
    QTest::addColumn<bool>("recoverable");

    const auto row = [](ErrorKind kind, quint16 code, bool recoverable) {
        const Error error(kind, {}, code);
        QTest::addRow("%s", qPrintable(error.toString())) << error << recoverable;
    };
    for (const ErrorKind kind : {ErrorKind::Network, ErrorKind::Timeout, ErrorKind::Unconfirmed})
        row(kind, 0, true);
    for (const quint16 code : {320, 506, 541})
        row(ErrorKind::ConnectionClosed, code, true);
    for (const quint16 code : {402, 403, 501, 502, 503, 504, 505, 530, 540})
        row(ErrorKind::ConnectionClosed, code, false);
    row(ErrorKind::ChannelClosed, 404, false);
    for (const ErrorKind kind :
         {ErrorKind::InvalidArgument, ErrorKind::NotOpen, ErrorKind::BufferFull, ErrorKind::Cancelled,
          ErrorKind::StaleDelivery, ErrorKind::Tls, ErrorKind::Authentication, ErrorKind::ConsumerCancelled,
          ErrorKind::MessageTooLarge, ErrorKind::Returned, ErrorKind::Nacked, ErrorKind::ProtocolViolation}) {
        row(kind, 0, false);
    }
}

void tst_Error::errorsThatAnotherAttemptMayFixAreRecoverable()
{
    QFETCH(Error, error);
    QFETCH(bool, recoverable);
    QCOMPARE(error.isRecoverable(), recoverable);
}

void tst_Error::propertiesAreReadableThroughTheMetaObject()
{
    const Error error(ErrorKind::ChannelClosed, u"text"_s, 404, u"queue.bind"_s);
    const QMetaObject &meta = Error::staticMetaObject;
    const auto read = [&](const char *name) { return meta.property(meta.indexOfProperty(name)).readOnGadget(&error); };
    QCOMPARE(read("kind").value<ErrorKind>(), ErrorKind::ChannelClosed);
    QCOMPARE(read("replyCode").toInt(), 404);
    QCOMPARE(read("text").toString(), u"text"_s);
    QCOMPARE(read("method").toString(), u"queue.bind"_s);
}

QTEST_APPLESS_MAIN(tst_Error)
#include "tst_error.moc"
